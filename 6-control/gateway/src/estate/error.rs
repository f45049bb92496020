//! Why a gateway cannot take up what it needs.

use std::fmt;
use std::io;

use portcullis_os::links::LinkError;
use portcullis_os::netns::NetnsError;
use portcullis_os::quiet::QuietError;

/// Why a gateway could not take up its namespaces and devices.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EstateError {
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NetnsError),
    /// A device.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A namespace could not be made quiet.
    #[error(transparent)]
    Quiet(#[from] QuietError),
    /// The state file.
    #[error("the record of what is to be given back: {0}")]
    State(#[from] io::Error),
    /// The device of an interface is nowhere.
    #[error(
        "interface {interface}: there is no device `{device}`, neither here nor in namespace {namespace}{}",
        Elsewhere(.elsewhere.as_ref())
    )]
    NoDevice {
        /// The interface.
        interface: String,
        /// Its device.
        device: String,
        /// Where it was looked for, beside the starter's namespace.
        namespace: String,
        /// Where another gateway has it.
        elsewhere: Option<Whereabouts>,
    },
    /// The device is a part of another one.
    #[error("interface {interface}: device `{device}` belongs to `{master}`; take it out first")]
    Enslaved {
        /// The interface.
        interface: String,
        /// Its device.
        device: String,
        /// The bridge, bond or VRF.
        master: String,
    },
}

/// Where another gateway has a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Whereabouts {
    /// The name of the gateway.
    pub(crate) gateway: String,
    /// The namespace.
    pub(crate) namespace: String,
}

struct Elsewhere<'a>(Option<&'a Whereabouts>);

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Whereabouts { gateway, namespace }) = self.0 else { return Ok(()) };
        write!(f, "; gateway {gateway} has it in namespace {namespace}")
    }
}
