//! Messages of ICMP and ICMPv6, by name and number.

use crate::check::Expected;
use crate::range::number;
use crate::service::Service;

/// ICMP, which is IPv4's, or ICMPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum IcmpVersion {
    /// RFC 792.
    V4,
    /// RFC 4443.
    V6,
}

/// The names of types, with the number of each in ICMP and in ICMPv6 (IANA's registries).
const TYPES: [(&str, Option<u8>, Option<u8>); 18] = [
    ("echo-request", Some(8), Some(128)),
    ("echo-reply", Some(0), Some(129)),
    ("destination-unreachable", Some(3), Some(1)),
    ("packet-too-big", None, Some(2)),
    ("time-exceeded", Some(11), Some(3)),
    ("parameter-problem", Some(12), Some(4)),
    ("redirect", Some(5), Some(137)),
    ("router-solicitation", Some(10), Some(133)),
    ("router-advertisement", Some(9), Some(134)),
    ("neighbor-solicitation", None, Some(135)),
    ("neighbor-advertisement", None, Some(136)),
    ("multicast-listener-query", None, Some(130)),
    ("multicast-listener-report", None, Some(131)),
    ("multicast-listener-done", None, Some(132)),
    ("timestamp-request", Some(13), None),
    ("timestamp-reply", Some(14), None),
    ("extended-echo-request", Some(42), Some(160)),
    ("extended-echo-reply", Some(43), Some(161)),
];

/// What is meant by the text behind `icmp/` or `icmpv6/`: a name, in each of the versions that have
/// it; or a type and perhaps a code as numbers, which are those of the first version only.
pub(crate) fn messages(text: &str, versions: &[IcmpVersion]) -> Result<Vec<Service>, Expected> {
    let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
    if let (Some(kind), Some(&version)) = (number(kind), versions.first()) {
        let code = match code {
            None => None,
            Some(code) => {
                let expected = || Expected::new("a code from 0 to 255 after the type");
                Some(number(code).ok_or_else(expected)?)
            }
        };
        return Ok(vec![Service::Icmp { version, kind, code }]);
    }
    let Some(&(name, v4, v6)) = TYPES.iter().find(|&&(name, ..)| name == kind) else {
        let names: Vec<&str> = TYPES
            .iter()
            .filter(|&&(_, v4, v6)| versions.iter().any(|&one| of(one, v4, v6).is_some()))
            .map(|&(name, ..)| name)
            .collect();
        return Err(Expected::new(format!("a type from 0 to 255, or `{}`", names.join("`, `"))));
    };
    if code.is_some() {
        return Err(Expected::new(format!("`{name}` without a code, or numbers: `3/1`")));
    }
    let meant: Vec<Service> = versions
        .iter()
        .filter_map(|&version| {
            of(version, v4, v6).map(|kind| Service::Icmp { version, kind, code: None })
        })
        .collect();
    if meant.is_empty() {
        return Err(Expected::new(format!("a type of ICMPv6: `{name}` is one of ICMP only")));
    }
    Ok(meant)
}

fn of(version: IcmpVersion, v4: Option<u8>, v6: Option<u8>) -> Option<u8> {
    match version {
        IcmpVersion::V4 => v4,
        IcmpVersion::V6 => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use IcmpVersion::{V4, V6};

    const BOTH: [IcmpVersion; 2] = [V4, V6];

    fn message(version: IcmpVersion, kind: u8, code: Option<u8>) -> Service {
        Service::Icmp { version, kind, code }
    }

    #[test]
    fn a_name_is_another_number_in_each_version() {
        let echo = messages("echo-request", &BOTH);
        assert_eq!(echo, Ok(vec![message(V4, 8, None), message(V6, 128, None)]));
        assert_eq!(messages("packet-too-big", &BOTH), Ok(vec![message(V6, 2, None)]));
        assert_eq!(messages("timestamp-request", &BOTH), Ok(vec![message(V4, 13, None)]));
        assert_eq!(messages("redirect", &[V6]), Ok(vec![message(V6, 137, None)]));
    }

    #[test]
    fn a_number_is_meant_in_one_version_only() {
        assert_eq!(messages("8", &BOTH), Ok(vec![message(V4, 8, None)]));
        assert_eq!(messages("3/1", &BOTH), Ok(vec![message(V4, 3, Some(1))]));
        assert_eq!(messages("128", &[V6]), Ok(vec![message(V6, 128, None)]));
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for bad in ["", "256", "ping", "3/", "3/256", "3/1/1", "+3", "echo-request/0"] {
            assert!(messages(bad, &BOTH).is_err(), "{bad}");
        }
        assert!(messages("timestamp-request", &[V6]).is_err());
    }
}
