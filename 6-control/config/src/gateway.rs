//! `[gateway]`.

use std::num::NonZeroU16;

use crate::check::{Checker, Unit};
use crate::cpu_list::CpuList;
use crate::decode::quoted;
use crate::diagnostic::{Diagnostic, Kind};
use crate::document::Host;
use crate::interface::{Driver, Interface};
use crate::name::{GatewayName, NamespaceName};
use crate::raw::RawGateway;
use crate::source::{Located, Span};

/// Most workers that a gateway can have.
pub const MAX_WORKERS: u16 = 256;

/// How many workers (pairs of an I/O and a pipeline thread) there are to be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Workers(NonZeroU16);

impl Workers {
    /// The number, 1 to [`MAX_WORKERS`].
    #[must_use]
    pub fn get(self) -> NonZeroU16 {
        self.0
    }
}

/// How many threads a worker has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ThreadsPerWorker {
    /// One, which receives, works on and sends each batch.
    One,
    /// One for I/O and one for the pipeline.
    #[default]
    Two,
}

/// The gateway as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Gateway {
    /// Its name.
    pub name: GatewayName,
    /// The namespace of the devices and the I/O threads.
    pub link_namespace: NamespaceName,
    /// The namespace of the taps and the control plane; another than that of the devices.
    pub vpc_namespace: NamespaceName,
    /// How many workers; `None`: as many as the CPUs carry.
    pub workers: Option<Workers>,
    /// How many threads each has.
    pub threads_per_worker: ThreadsPerWorker,
    /// The CPUs of the workers; `None`: the isolated ones, or all where none is.
    pub cpus: Option<CpuList>,
}

impl Gateway {
    pub(crate) fn check(
        raw: Option<&Located<RawGateway>>,
        host: &Host<'_>,
        checker: &mut Checker<'_>,
    ) -> Option<Self> {
        let empty = Located::nowhere(RawGateway::default());
        let Located { value: raw, span } = raw.unwrap_or(&empty);
        let name = match &raw.name {
            Some(name) => checker.parse("name", name),
            None => host_name(host, span, checker),
        };
        let link = namespace("link-namespace", raw.link_namespace.as_ref(), "link", span, checker);
        let vpc = namespace("vpc-namespace", raw.vpc_namespace.as_ref(), "vpc", span, checker);
        if let (Some(link), Some(vpc)) = (&link, &vpc)
            && link.value == vpc.value
        {
            let (first, second) =
                if link.span.start < vpc.span.start { (link, vpc) } else { (vpc, link) };
            let label =
                if first.span == *span { "the other one, by default" } else { "the other one" };
            checker.report(
                Diagnostic::new(
                    &second.span,
                    format!("the link and the VPC namespace are both `{}`", link.value),
                    "another name: devices and taps must be apart",
                )
                .related(&first.span, label),
            );
        }
        let workers = checker.optional(raw.workers.as_ref(), |checker, workers| {
            let range = 1..=MAX_WORKERS;
            let workers = checker.number("workers", workers, range, Unit::None)?;
            NonZeroU16::new(workers).map(Workers)
        });
        let threads = match &raw.threads_per_worker {
            None => Some(ThreadsPerWorker::default()),
            Some(given) => {
                checker.number("threads-per-worker", given, 1_u16..=2, Unit::None).map(|number| {
                    if number == 1 { ThreadsPerWorker::One } else { ThreadsPerWorker::Two }
                })
            }
        };
        let cpus = checker.optional(raw.cpus.as_ref(), |checker, cpus| checker.parse("cpus", cpus));
        Some(Self {
            name: name?,
            link_namespace: link?.value,
            vpc_namespace: vpc?.value,
            workers: workers?,
            threads_per_worker: threads?,
            cpus: cpus?,
        })
    }

    /// A thread for both I/O and the pipeline needs devices that ask for no rights while it runs.
    pub(crate) fn check_threads(
        &self,
        raw: Option<&Located<RawGateway>>,
        interfaces: &[Interface],
        checker: &mut Checker<'_>,
    ) {
        let given = raw.and_then(|raw| raw.value.threads_per_worker.as_ref());
        let other = interfaces.iter().find(|interface| interface.driver != Driver::Dpdk);
        let (ThreadsPerWorker::One, Some(given), Some(other)) =
            (self.threads_per_worker, given, other)
        else {
            return;
        };
        checker.report(Diagnostic::new(
            &given.span,
            format!(
                "`threads-per-worker` is 1, and interface `{}` is on {}",
                other.name, other.driver
            ),
            "2, or `driver = \"dpdk\"` for all interfaces: the I/O thread of the others keeps a \
             right that a pipeline must not have",
        ));
    }

    pub(crate) fn to_raw(&self) -> RawGateway {
        let text = |text: String| Some(Located::nowhere(text));
        RawGateway {
            name: text(self.name.to_string()),
            link_namespace: text(self.link_namespace.to_string()),
            vpc_namespace: text(self.vpc_namespace.to_string()),
            workers: self.workers.map(|workers| Located::nowhere(workers.0.get().into())),
            threads_per_worker: (self.threads_per_worker == ThreadsPerWorker::One)
                .then(|| Located::nowhere(1)),
            cpus: self.cpus.as_ref().and_then(|cpus| text(cpus.to_string())),
        }
    }
}

/// The host's name, which need not be one for a gateway.
fn host_name(host: &Host<'_>, span: &Span, checker: &mut Checker<'_>) -> Option<GatewayName> {
    match host.name.parse() {
        Ok(name) => Some(name),
        Err(expected) => {
            let found = format!("no `name`, and the host's is {}", quoted(host.name));
            let expected = format!("`name` to be given: {expected}");
            checker.report(Diagnostic::new(span, found, expected).kind(Kind::Absence));
            None
        }
    }
}

fn namespace(
    key: &'static str,
    given: Option<&Located<String>>,
    default: &str,
    section: &Span,
    checker: &mut Checker<'_>,
) -> Option<Located<NamespaceName>> {
    let given = given
        .cloned()
        .unwrap_or_else(|| Located { value: default.to_owned(), span: section.clone() });
    checker.parse(key, &given).map(|name| given.with(name))
}
