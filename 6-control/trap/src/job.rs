//! The trap thread as a [`Job`]: what it opens while it may, and what it does afterwards.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use portcullis_dataplane::{Sender, SteeredBy, Stop, TrapReceiver};
use portcullis_os::links::Links;
use portcullis_os::tap::{Tap, TapName};
use portcullis_os::threads::{Job, JobError};
use portcullis_packet::{IfIndex, Mac, Packet};
use portcullis_tables::Subscriber;
use tokio::runtime::{Builder, Runtime};

use crate::counters::TrapCounters;
use crate::service::Service;

/// A tap to be opened: the half of an interface that the kernel in `vpc` sees.
#[derive(Clone, Debug)]
pub struct TapSpec {
    /// The interface it belongs to.
    pub interface: IfIndex,
    /// Its name there, the interface's own.
    pub name: TapName,
    /// The device's MAC address.
    pub mac: Mac,
    /// The device's MTU, in bytes.
    pub mtu: u16,
}

/// All that the trap thread is given.
#[derive(Debug)]
pub struct TrapConfig {
    /// Its taps.
    pub taps: Vec<TapSpec>,
    /// The end of the trap queue.
    pub punts: TrapReceiver,
    /// A way into each worker, by [`WorkerId`](portcullis_packet::WorkerId).
    pub lanes: Vec<Sender<Packet>>,
    /// Which worker has a packet's flow.
    pub steering: Subscriber<SteeredBy>,
    /// What it counts in.
    pub counters: Arc<TrapCounters>,
    /// What ends it. Whoever sets it rings the trap queue's bell.
    pub stop: Stop,
}

/// The work of the trap thread. It is to be started in `vpc`: its taps appear where
/// [`Job::open`] is called, which needs CAP_NET_ADMIN there. [`Job::run`] needs no capability.
#[derive(Debug)]
pub struct TrapJob {
    config: Option<TrapConfig>,
    open: Option<(Runtime, Service)>,
}

impl TrapJob {
    /// A job that has opened nothing yet.
    #[must_use]
    pub const fn new(config: TrapConfig) -> Self {
        Self { config: Some(config), open: None }
    }
}

impl Job for TrapJob {
    fn open(&mut self) -> Result<(), JobError> {
        let Some(config) = self.config.take() else { return Err("opened twice".into()) };
        let TrapConfig { taps, punts, lanes, steering, counters, stop } = config;
        let mut links = Links::open()?;
        let mut open = Vec::with_capacity(taps.len());
        for spec in &taps {
            open.push((spec.interface, open_tap(spec, &mut links)?));
        }
        let runtime = Builder::new_current_thread().enable_io().build()?;
        let context = runtime.enter();
        let service = Service::new(open, punts, lanes, steering, counters, stop)?;
        drop(context);
        self.open = Some((runtime, service));
        Ok(())
    }

    fn run(self: Box<Self>) {
        let Some((runtime, mut service)) = self.open else {
            tracing::error!("the trap thread was started without its taps");
            return;
        };
        runtime.block_on(service.serve());
    }
}

fn open_tap(spec: &TapSpec, links: &mut Links) -> Result<OwnedFd, JobError> {
    let tap = Tap::open(&spec.name)?;
    tap.set_mac(spec.mac)?;
    links.set_mtu(spec.name.as_str(), spec.mtu.into())?;
    Ok(tap.into_fd())
}
