//! What a NAT looks like from outside: coturn's server with two addresses (RFC 5780), and two
//! clients that ask it.

use std::time::Duration;

use crate::command::Background;
use crate::host::Host;
use crate::wait::wait_until;

/// A STUN server that runs; it ends when dropped.
#[derive(Debug)]
pub struct StunServer {
    server: Background,
}

impl StunServer {
    /// Starts it on two addresses of the host, the second of which it sends its clients on to.
    #[track_caller]
    #[must_use]
    pub fn start(host: &Host, addresses: [&str; 2]) -> Self {
        let [first, second] = addresses;
        let pid = host.file("turnserver.pid");
        let server = host.start(&format!(
            "turnserver -n -S -L {first} -L {second} --no-cli --no-tls --no-dtls \
             --log-file stdout --pidfile {}",
            pid.display()
        ));
        // Its own two addresses, each with its own two ports.
        wait_until("the STUN server listens", Duration::from_secs(20), || {
            let sockets = host.run("ss -Hlun");
            addresses.iter().all(|address| {
                ["3478", "3479"].iter().all(|port| sockets.contains(&format!("{address}:{port}")))
            })
        });
        Self { server }
    }

    /// All that the server said.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}

/// What a behaviour depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Nothing outside.
    EndpointIndependent,
    /// The outside address.
    AddressDependent,
    /// The outside address and port.
    AddressAndPortDependent,
}

impl Behaviour {
    fn of(said: &str, what: &str) -> Option<Self> {
        // With one external address and no translation both lines are there: the last one counts.
        let verdict = said.lines().rev().find(|line| {
            line.contains(what) && (line.starts_with("NAT with") || line.starts_with("No NAT"))
        })?;
        Some(match verdict {
            it if it.contains("Endpoint Independent") => Self::EndpointIndependent,
            it if it.contains("Address and Port Dependent") => Self::AddressAndPortDependent,
            _ => Self::AddressDependent,
        })
    }
}

/// `turnutils_natdiscovery` on a host, from one of its addresses and ports.
#[derive(Clone, Copy, Debug)]
pub struct NatDiscovery<'a> {
    /// Behind the NAT.
    pub host: &'a Host,
    /// The host's address.
    pub address: &'a str,
    /// The host's port. The tests of one NAT need different ones: mappings live on.
    pub port: u16,
    /// The first address of the STUN server.
    pub server: &'a str,
}

impl NatDiscovery<'_> {
    /// On what the external port depends (RFC 5780, 4.3).
    ///
    /// # Panics
    ///
    /// If it does not find out.
    #[track_caller]
    #[must_use]
    pub fn mapping(&self) -> Behaviour {
        let said = self.run("-m");
        // Without an answer from the other address it compares the first one with itself.
        let verdict = Behaviour::of(&said, "Mapping").filter(|_| !said.contains("timeout"));
        verdict.unwrap_or_else(|| panic!("no verdict: {said}"))
    }

    /// On what it depends who is let in (RFC 5780, 4.4).
    ///
    /// # Panics
    ///
    /// If it does not find out.
    #[track_caller]
    #[must_use]
    pub fn filtering(&self) -> Behaviour {
        let said = self.run("-f");
        Behaviour::of(&said, "Filtering").unwrap_or_else(|| panic!("no verdict: {said}"))
    }

    /// Whether the host reaches itself by its external address and port.
    #[track_caller]
    #[must_use]
    pub fn hairpins(&self) -> bool {
        let said = self.run("-H");
        println!("{said}");
        said.contains("successful hairpinning")
    }

    #[track_caller]
    fn run(&self, test: &str) -> String {
        let Self { host, address, port, server } = self;
        let line = format!("turnutils_natdiscovery {test} -L {address} -l {port} {server}");
        // It ends with an error too when it has found out that there is no answer.
        let said = host.attempt(&line);
        format!("{}{}", said.stdout, said.stderr)
    }
}

/// What `stun`, of another author, finds (by RFC 3489's tests).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StunVerdict {
    /// Whether the mapping depends on nothing outside.
    pub independent_mapping: bool,
    /// As it says it: `Independent Filter`, `Port Dependent Filter`, ...
    pub filter: String,
    /// Whether the external port is the inside one.
    pub preserves_ports: bool,
    /// Whether it hairpins.
    pub hairpins: bool,
}

/// Runs `stun` on a host, from an address and two ports, `port` and the next one.
///
/// # Panics
///
/// If it does not find out.
#[track_caller]
#[must_use]
pub fn stun(host: &Host, address: &str, port: u16, server: &str) -> StunVerdict {
    let said = host.attempt(&format!("stun {server} -i {address} -p {port}"));
    let said = format!("{}{}", said.stdout, said.stderr);
    verdict(&said).unwrap_or_else(|| panic!("no verdict: {said}"))
}

fn verdict(said: &str) -> Option<StunVerdict> {
    let line = said.lines().find_map(|line| line.strip_prefix("Primary: "))?;
    // A mapping that depends on something has no filter worth a word.
    let filter = line.split(", ").find(|part| part.ends_with("Filter")).unwrap_or_default();
    Some(StunVerdict {
        independent_mapping: line.starts_with("Independent Mapping"),
        filter: filter.to_owned(),
        preserves_ports: line.contains("preserves ports"),
        hairpins: line.contains("will hairpin"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_natdiscovery_says_is_understood() {
        let said = "RFC 5780 response 2\nNAT with Endpoint Independent Mapping!\n";
        assert_eq!(Behaviour::of(said, "Mapping"), Some(Behaviour::EndpointIndependent));
        assert_eq!(Behaviour::of(said, "Filtering"), None);
        let said = "NAT with Address and Port Dependent Filtering!";
        assert_eq!(Behaviour::of(said, "Filtering"), Some(Behaviour::AddressAndPortDependent));
        let said = "NAT with Address Dependent Filtering!";
        assert_eq!(Behaviour::of(said, "Filtering"), Some(Behaviour::AddressDependent));
    }

    #[test]
    fn what_stun_says_is_understood() {
        let said = "STUN client version 0.97\n\
            Primary: Independent Mapping, Port Dependent Filter, preserves ports, no hairpin\t\n";
        let verdict = verdict(said).expect("a verdict");
        assert!(verdict.independent_mapping && verdict.preserves_ports && !verdict.hairpins);
        assert_eq!(verdict.filter, "Port Dependent Filter");
    }
}
