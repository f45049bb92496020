//! The file as a whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use crate::check::Checker;
use crate::decode::Table;
use crate::diagnostic::{Diagnostic, Diagnostics, Kind, Report};
use crate::diff::{self, Change};
use crate::dpdk::Dpdk;
use crate::firewall::{Firewall, Zones};
use crate::gateway::Gateway;
use crate::interface::{self, Driver, Interface};
use crate::limits::{Limits, Timeouts};
use crate::links::Links;
use crate::nat::Nat;
use crate::raw::RawConfig;
use crate::route::{self, Route};
use crate::source::Located;

/// Largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// What the host says about itself, where the file says nothing.
#[derive(Clone, Copy, Debug)]
pub struct Host<'h> {
    /// Its name.
    pub name: &'h str,
}

/// A configuration in which nothing is wrong. There is no other way to make one than from a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    gateway: Gateway,
    interfaces: Vec<Interface>,
    routes: Vec<Route>,
    nat: Nat,
    firewall: Option<Firewall>,
    timeouts: Timeouts,
    limits: Limits,
    dpdk: Dpdk,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file was read, and is wrong.
    #[error(transparent)]
    Invalid(#[from] Report),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// The file can't be read, or not all is right in it; then the error shows everything that is
    /// not.
    pub fn load(path: &Path, host: &Host<'_>) -> Result<Self, LoadError> {
        let unreadable = |source| LoadError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(unreadable)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let limit = MAX_FILE_BYTES >> 20;
            let found = format!("larger than {limit} MiB, the most that a configuration may have");
            return Err(unreadable(io::Error::new(io::ErrorKind::FileTooLarge, found)));
        }
        let name = path.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self::parse(&name, &text, host)?),
            Err(error) => Err(not_utf8(&name, &error).into()),
        }
    }

    /// Reads a configuration from text. `file` is the name that errors give it.
    ///
    /// # Errors
    /// Not all is right in the text; the report shows everything that is not.
    pub fn parse(file: &str, text: &str, host: &Host<'_>) -> Result<Self, Report> {
        let mut errors = Diagnostics::default();
        let (document, syntax_errors) = DeTable::parse_recoverable(text);
        for error in &syntax_errors {
            errors.push(not_toml(error, text));
        }
        let raw = Table::read::<RawConfig>(document.get_ref(), 0..0, &mut errors);
        let config = Self::check(&raw, host, &mut errors);
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(errors.into_report(file, text)),
        }
    }

    fn check(raw: &RawConfig, host: &Host<'_>, errors: &mut Diagnostics) -> Option<Self> {
        let mut checker = Checker::new(errors);
        let gateway = Gateway::check(raw.gateway.as_ref(), host, &mut checker);
        let interfaces = interface::check(raw.interface.as_ref(), &mut checker);
        let links = Links::new(&interfaces, raw.has_unread);
        let routes = route::check(list(raw.route.as_ref()), &links, &mut checker);
        let nat = Nat::check(raw.nat.as_ref(), &links, &mut checker);
        let zones = Zones::new(&interfaces, raw.has_unread);
        let firewall = checker.optional(raw.firewall.as_ref(), |checker, raw| {
            Firewall::check(&raw.value, &zones, checker)
        });
        let timeouts = Timeouts::check(raw.timeouts.as_ref(), &mut checker);
        let limits = Limits::check(raw.limits.as_ref(), &mut checker);
        let dpdk = Dpdk::check(raw.dpdk.as_ref(), &mut checker);
        let interfaces = interface::finish(interfaces);
        if let (Some(gateway), Some(interfaces)) = (&gateway, &interfaces) {
            gateway.check_threads(raw.gateway.as_ref(), interfaces, &mut checker);
        }
        Some(Self {
            gateway: gateway?,
            interfaces: interfaces?,
            routes: routes?,
            nat: nat?,
            firewall: firewall?,
            timeouts: timeouts?,
            limits: limits?,
            dpdk: dpdk?,
        })
    }

    /// The gateway as a whole.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The interfaces, one at least, in the order of the file.
    #[must_use]
    pub fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The static routes, in the order of the file.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Network address translation.
    #[must_use]
    pub fn nat(&self) -> &Nat {
        &self.nat
    }

    /// The firewall; `None`: everything is forwarded.
    #[must_use]
    pub fn firewall(&self) -> Option<&Firewall> {
        self.firewall.as_ref()
    }

    /// How long flows are remembered.
    #[must_use]
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// How many flows are remembered.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// How DPDK is started, if any interface is on it.
    #[must_use]
    pub fn dpdk(&self) -> &Dpdk {
        &self.dpdk
    }

    /// Whether any interface is on DPDK.
    #[must_use]
    pub fn uses_dpdk(&self) -> bool {
        self.interfaces.iter().any(|interface| interface.driver == Driver::Dpdk)
    }

    /// What would change if `new` took the place of this configuration, in words; nothing if the
    /// two are the same.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Change> {
        diff::changes(self, new)
    }

    /// The configuration as a file, defaults written out. Reading it gives the same configuration.
    #[must_use]
    pub fn to_toml(&self) -> String {
        // The raw types are tables of strings, numbers and arrays of them: TOML has them all.
        toml::to_string(&self.to_raw()).unwrap_or_default()
    }

    /// The configuration as JSON, with the names of the file, defaults written out.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.to_raw()).unwrap_or_default()
    }

    fn to_raw(&self) -> RawConfig {
        let interfaces = self.interfaces.iter().map(|one| Located::nowhere(one.to_raw()));
        let routes = self.routes.iter().map(|one| Located::nowhere(one.to_raw()));
        RawConfig {
            gateway: Some(Located::nowhere(self.gateway.to_raw())),
            interface: Some(Located::nowhere(interfaces.collect())),
            route: Some(Located::nowhere(routes.collect())).filter(|_| !self.routes.is_empty()),
            nat: self.nat.to_raw(),
            firewall: self.firewall.as_ref().map(|one| Located::nowhere(one.to_raw())),
            timeouts: Some(Located::nowhere(self.timeouts.to_raw())),
            limits: Some(Located::nowhere(self.limits.to_raw())),
            dpdk: Some(Located::nowhere(self.dpdk.to_raw()))
                .filter(|_| self.uses_dpdk() || self.dpdk != Dpdk::default()),
            ..RawConfig::default()
        }
    }
}

/// The elements of an array of tables.
pub(crate) fn list<T>(section: Option<&Located<Vec<Located<T>>>>) -> &[Located<T>] {
    section.map_or(&[], |section| &section.value)
}

/// What the TOML parser says, in the form of ours: "found, expected ...".
fn not_toml(error: &toml::de::Error, text: &str) -> Diagnostic {
    let span = error.span().unwrap_or(text.len()..text.len());
    let (found, expected) = match error.message() {
        "duplicate key" => ("a key is there twice", "each key once"),
        message => message.split_once(", expected ").unwrap_or((message, "valid TOML")),
    };
    Diagnostic::new(&span, found, expected).kind(Kind::Syntax)
}

fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> Report {
    let start = error.utf8_error().valid_up_to();
    let text = String::from_utf8_lossy(error.as_bytes());
    let found = "bytes that are not text";
    let mut errors = Diagnostics::default();
    errors.push(Diagnostic::new(&(start..start + 1), found, "UTF-8").kind(Kind::Syntax));
    errors.into_report(file, &text)
}
