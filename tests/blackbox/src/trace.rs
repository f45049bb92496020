//! The way to a destination, and how large a packet it carries.

use std::net::IpAddr;

use crate::host::Host;

/// What tracepath found out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathMtu {
    /// The largest packet that arrives whole.
    pub mtu: u32,
    /// Who answered, without repetitions.
    pub hops: Vec<IpAddr>,
}

/// The hops that `traceroute` sees, by UDP probes; none where nobody answered.
#[track_caller]
#[must_use]
pub fn traceroute(from: &Host, destination: &str) -> Vec<Option<IpAddr>> {
    hops(&from.run(&format!("traceroute -n -q 1 -w 2 -m 6 {destination}")))
}

fn hops(said: &str) -> Vec<Option<IpAddr>> {
    let numbered = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next()?.parse::<u32>().ok()?;
        Some(words.next()?.parse().ok())
    });
    numbered.collect()
}

/// Runs `tracepath`.
///
/// # Panics
///
/// If it finds no path MTU.
#[track_caller]
#[must_use]
pub fn tracepath(from: &Host, destination: &str) -> PathMtu {
    let said = from.run(&format!("tracepath -n -m 6 {destination}"));
    path_mtu(&said).unwrap_or_else(|| panic!("no path MTU: {said}"))
}

fn path_mtu(said: &str) -> Option<PathMtu> {
    let resume = said.lines().find(|line| line.trim_start().starts_with("Resume:"))?;
    let mtu = resume.split("pmtu ").nth(1)?.split_whitespace().next()?.parse().ok()?;
    let mut hops: Vec<IpAddr> = Vec::new();
    for line in said.lines() {
        let hop = line.split_whitespace().nth(1).and_then(|word| word.parse().ok());
        hops.extend(hop.filter(|hop| hops.last() != Some(hop)));
    }
    Some(PathMtu { mtu, hops })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tracepath_says_is_understood() {
        let said = " 1?: [LOCALHOST]                      pmtu 1500
 1:  10.1.0.1                                              0.045ms
 1:  10.1.0.1                                              0.030ms
 2:  10.1.0.1                                              0.019ms pmtu 1400
 2:  10.2.0.2                                              0.050ms reached
     Resume: pmtu 1400 hops 2 back 2
";
        let hops = ["10.1.0.1", "10.2.0.2"].map(|hop| hop.parse().expect("an address"));
        assert_eq!(path_mtu(said), Some(PathMtu { mtu: 1400, hops: hops.to_vec() }));
    }

    #[test]
    fn what_traceroute_says_is_understood() {
        let said = "traceroute to 10.2.0.2 (10.2.0.2), 6 hops max, 60 byte packets
 1  10.1.0.1  0.040 ms
 2  *
 3  10.2.0.2  0.060 ms
";
        let address = |text: &str| text.parse().ok();
        assert_eq!(hops(said), [address("10.1.0.1"), None, address("10.2.0.2")]);
    }
}
