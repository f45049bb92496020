//! The configuration that the gateway runs with, and how another one takes its place.

use std::sync::Arc;

use portcullis_api::rows::{ChangeKind, ChangeRow};
use portcullis_config::{self as config, Config, Host};
use portcullis_dataplane::{SteerByFlow, SteeredBy};
use portcullis_firewall::RuleTotals;
use portcullis_manager::{Change, Handle};
use portcullis_packet::WorkerId;
use portcullis_pipeline::{State, StateConfig};
use portcullis_policy::Policy;
use portcullis_tables::Publisher;
use tokio::sync::{Mutex, MutexGuard, watch};
use tracing::{info, warn};

use crate::inspect::{Inspector, Silent};
use crate::{policy, tables};

/// What is in effect.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) policy: Arc<Policy>,
    /// Hits of rules under policies before this one.
    pub(crate) totals: RuleTotals,
    /// Flows that each worker has memory for.
    equipped: usize,
    steering: Publisher<SteeredBy>,
}

/// What packets are steered by under a policy.
pub(crate) fn steered_by(policy: &Policy) -> SteeredBy {
    let steering = policy.steering.as_ref().map(Arc::clone)?;
    Some(Arc::new(SteerByFlow::new(steering)))
}

/// Why a configuration was not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It is not good.
    #[error("{0}")]
    Invalid(#[from] config::Report),
    /// Parts of it can only be set at the start; they are these.
    #[error("nothing was changed: only a restart of the gateway can change what is marked")]
    NeedsRestart(Vec<ChangeRow>),
    /// A worker does not answer.
    #[error("nothing was changed: {0}")]
    Silent(#[from] Silent),
    /// The vpc-manager would not have it.
    #[error("{0}")]
    Manager(#[from] portcullis_manager::ApplyError),
}

/// The running configuration, and all that has to know of another one.
pub(crate) struct Configurations {
    running: Mutex<Running>,
    /// The policy for those who only read it: the log.
    policies: watch::Sender<Arc<Policy>>,
    manager: Handle,
    pub(crate) inspector: Inspector,
    pub(crate) workers: u16,
    seed: u64,
}

/// What is drawn with this seed is the same in all of a gateway, and another for each start.
pub(crate) fn state_config(workers: u16, worker: u16, flows: usize, seed: u64) -> StateConfig {
    let own = seed.wrapping_add(u64::from(worker).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    StateConfig { worker: WorkerId(worker), workers, flows, seed: own }
}

impl Configurations {
    pub(crate) fn new(
        config: Config,
        policy: Arc<Policy>,
        manager: Handle,
        inspector: Inspector,
        steering: Publisher<SteeredBy>,
        seed: u64,
    ) -> Self {
        let slots = policy.rules.as_ref().map_or(0, portcullis_firewall::Rules::slots);
        let workers = inspector.workers() as u16;
        let running = Running {
            equipped: policy.flows,
            config,
            policy: Arc::clone(&policy),
            totals: RuleTotals::new(slots),
            steering,
        };
        let (policies, _) = watch::channel(policy);
        Self { running: Mutex::new(running), policies, manager, inspector, workers, seed }
    }

    /// What is in effect. Nothing changes as long as it is held.
    pub(crate) async fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().await
    }

    /// The policy, now and later.
    pub(crate) fn watch(&self) -> watch::Receiver<Arc<Policy>> {
        self.policies.subscribe()
    }

    /// What a file would change.
    pub(crate) async fn diff(&self, file: &str, text: &str) -> Result<Vec<ChangeRow>, Refusal> {
        let running = self.running.lock().await;
        let new = parse(&running.config, file, text)?;
        Ok(rows(&running.config.changes(&new)))
    }

    /// Takes a file, whole or not at all.
    pub(crate) async fn apply(&self, file: &str, text: &str) -> Result<Vec<ChangeRow>, Refusal> {
        let mut running = self.running.lock().await;
        let new = parse(&running.config, file, text)?;
        let changes = rows(&running.config.changes(&new));
        if changes.iter().any(|change| change.restart) {
            let needing = changes.into_iter().filter(|change| change.restart).collect();
            return Err(Refusal::NeedsRestart(needing));
        }
        if changes.is_empty() {
            return Ok(changes);
        }
        let number = running.policy.number.wrapping_add(1);
        let policy = Arc::new(policy::compile(&new, number, self.workers, self.seed));
        policy.nat.count_on_from(&running.policy.nat);
        if policy.is_stateful() && running.equipped == 0 {
            self.equip(&new).await?;
            running.equipped = policy.flows;
        }
        let change = Change {
            policy: Arc::clone(&policy),
            routes: tables::static_routes(&new),
            addresses: tables::addresses(&new),
            mtus: new.interfaces().iter().map(|interface| Some(interface.mtu.get())).collect(),
        };
        self.manager.apply(change).await?;
        running.totals = match (&running.policy.rules, &policy.rules) {
            (Some(old), Some(new)) => running.totals.carried(old, &running.policy.hits, new),
            (_, Some(new)) => RuleTotals::new(new.slots()),
            (_, None) => RuleTotals::new(0),
        };
        // What nobody steers by any more since the last time is freed.
        running.steering.collect();
        running.steering.publish(steered_by(&policy));
        running.policy = Arc::clone(&policy);
        running.config = new;
        self.policies.send_replace(policy);
        info!("{} changes of {file} are in effect", changes.len());
        Ok(changes)
    }

    /// Gives each worker something to remember flows in.
    async fn equip(&self, config: &Config) -> Result<(), Silent> {
        let flows = policy::flows_per_worker(config, self.workers);
        for worker in 0..self.workers {
            let state = State::new(state_config(self.workers, worker, flows, self.seed));
            if let Err(silent) = self.inspector.equip(usize::from(worker), Box::new(state)).await {
                warn!("{silent}");
                return Err(silent);
            }
        }
        Ok(())
    }
}

fn parse(running: &Config, file: &str, text: &str) -> Result<Config, config::Report> {
    // A file that does not name its gateway is one for this gateway.
    let name = running.gateway().name.as_str();
    Config::parse(file, text, &Host { name })
}

fn rows(changes: &[config::Change]) -> Vec<ChangeRow> {
    let row = |change: &config::Change| ChangeRow {
        kind: match change.kind {
            config::ChangeKind::Added => ChangeKind::Added,
            config::ChangeKind::Removed => ChangeKind::Removed,
            config::ChangeKind::Changed => ChangeKind::Changed,
            config::ChangeKind::Moved => ChangeKind::Moved,
        },
        what: change.what.clone(),
        text: change.text.clone(),
        restart: change.restart,
    };
    changes.iter().map(row).collect()
}
