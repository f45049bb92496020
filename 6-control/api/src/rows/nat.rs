//! Address translation.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// Something that translates addresses, or a translation that is in use. They come in the order of
/// the kinds here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum NatRow {
    /// An external address of a masquerade, for one protocol.
    Pool {
        /// The place of the masquerade in the file, from 0.
        masquerade: u32,
        /// The interface that it is for.
        out: String,
        /// The networks that are masqueraded.
        sources: Vec<IpNet>,
        /// The external address.
        address: IpAddr,
        /// The protocol: `tcp`, `udp`, `icmp`.
        protocol: String,
        /// Ports that there are; for ICMP, identifiers.
        ports: u64,
        /// Ports that mappings have.
        in_use: u64,
        /// Ports that are free, and rest before they are used again.
        resting: u64,
        /// Mappings.
        mappings: u64,
        /// How often no port was left, since the start.
        exhausted: u64,
    },
    /// A port forwarding.
    Forward {
        /// The interface that it is for.
        #[serde(rename = "in")]
        interface: String,
        /// The protocol: `tcp`, `udp`.
        protocol: String,
        /// Address and ports that the outside sends to: `203.0.113.1:8443`.
        destination: String,
        /// Address and ports that it is sent on to: `10.0.0.5:443`.
        to: String,
        /// Flows that it has translated since the start, if they are counted.
        hits: Option<u64>,
    },
    /// A static translation of a network.
    Static {
        /// The interface that it is for.
        on: String,
        /// The network as the outside knows it.
        external: IpNet,
        /// The network as it is.
        internal: IpNet,
    },
    /// What an inside port is called outside: flows to any destination use it.
    Mapping {
        /// The place of the masquerade in the file, from 0.
        masquerade: u32,
        /// The protocol: `tcp`, `udp`, `icmp`.
        protocol: String,
        /// The inside address.
        inside: IpAddr,
        /// The inside port; for ICMP, the identifier.
        inside_port: u16,
        /// The external address.
        external: IpAddr,
        /// The external port; for ICMP, the identifier.
        external_port: u16,
        /// Flows that use it now.
        flows: u32,
        /// The worker that it belongs to.
        worker: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_row_is_a_field_of_it() {
        let forward = NatRow::Forward {
            interface: "wan".into(),
            protocol: "tcp".into(),
            destination: "203.0.113.1:8443".into(),
            to: "10.0.0.5:443".into(),
            hits: Some(7),
        };
        let text = serde_json::to_string(&forward).expect("serializable");
        assert_eq!(
            text,
            r#"{"kind":"forward","in":"wan","protocol":"tcp","destination":"203.0.113.1:8443","to":"10.0.0.5:443","hits":7}"#
        );
        assert_eq!(serde_json::from_str::<NatRow>(&text).expect("readable"), forward);
    }
}
