//! What the control socket answers about flows, translation and the firewall.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ipnet::IpNet;
use portcullis_api::rows::{FlowRow, FlushRow, NatRow, RuleAction, RuleRow};
use portcullis_api::server::{AnswerError, Reply};
use portcullis_api::{FlowFilter, FlowQuery, FlowSort, IpProtocol, NatQuery};
use portcullis_config::{self as config, Config};
use portcullis_dataplane::clock;
use portcullis_flows::{FlowStamp, Tick};
use portcullis_nat::PoolStatistics;
use tokio::sync::MutexGuard;

use crate::control::{Control, refused};
use crate::flows::{Flow, Names, stamp};
use crate::running::Running;

/// Where in the workers' tables a listing is.
#[derive(Clone, Copy)]
struct Place {
    worker: usize,
    slot: u32,
}

impl Place {
    const FIRST: Self = Self { worker: 0, slot: 0 };
}

/// The first of many flows, in some order.
struct Best {
    sort: FlowSort,
    top: usize,
    kept: Vec<FlowRow>,
}

/// Rows that are kept at a time at least: more are sorted and cut.
const KEPT: usize = 65_536;

impl Best {
    fn add(&mut self, rows: Vec<FlowRow>) {
        self.kept.extend(rows);
        if self.kept.len() >= self.top.saturating_mul(2).max(KEPT) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.kept.sort_by(|a, b| self.sort.compare(a, b));
        self.kept.truncate(self.top);
    }

    fn finish(mut self) -> Vec<FlowRow> {
        self.cut();
        self.kept
    }
}

impl Control {
    /// Some of the flows that a filter admits, and where the next ones are.
    async fn some_flows(
        &self,
        filter: &FlowFilter,
        at: Place,
    ) -> Result<(Vec<FlowRow>, Option<Place>), AnswerError> {
        let Place { worker, slot } = at;
        let inspector = &self.configurations.inspector;
        let policy = self.configurations.running().await.policy.clone();
        let (rows, next) = inspector.flows(worker, slot).await.map_err(refused)?;
        let now = Tick::of(clock::now());
        let names = Names { interfaces: &self.counters.interfaces, policy: &policy, now };
        let rows =
            rows.iter().map(|(stamp, record)| names.row(&Flow { worker, stamp: *stamp, record }));
        let admitted = rows.filter(|row| filter.admits(row)).collect();
        let next = match next {
            Some(slot) => Some(Place { worker, slot }),
            None if worker + 1 < inspector.workers() => Some(Place { worker: worker + 1, slot: 0 }),
            None => None,
        };
        Ok((admitted, next))
    }

    pub(crate) async fn flows(
        &self,
        query: &FlowQuery,
        reply: &mut Reply<'_>,
    ) -> Result<(), AnswerError> {
        let mut best = query.top.map(|top| Best {
            sort: query.sort.unwrap_or(FlowSort::Bytes),
            top: top as usize,
            kept: Vec::new(),
        });
        let mut at = Some(Place::FIRST);
        while let Some(place) = at {
            let (rows, next) = self.some_flows(&query.filter, place).await?;
            match &mut best {
                Some(best) => best.add(rows),
                None => {
                    for row in &rows {
                        reply.row(row).await?;
                    }
                }
            }
            at = next;
        }
        for row in best.map(Best::finish).unwrap_or_default() {
            reply.row(&row).await?;
        }
        Ok(())
    }

    pub(crate) async fn flush(
        &self,
        filter: &FlowFilter,
        reply: &mut Reply<'_>,
    ) -> Result<(), AnswerError> {
        let (mut flows, mut at) = (0, Some(Place::FIRST));
        while let Some(place) = at {
            let (rows, next) = self.some_flows(filter, place).await?;
            let stamps: Vec<FlowStamp> = rows.iter().map(|row| stamp(row.id)).collect();
            if !stamps.is_empty() {
                let inspector = &self.configurations.inspector;
                flows += inspector.flush(place.worker, stamps).await.map_err(refused)?;
            }
            at = next;
        }
        reply.row(&FlushRow { flows }).await
    }

    pub(crate) async fn nat(
        &self,
        query: &NatQuery,
        reply: &mut Reply<'_>,
    ) -> Result<(), AnswerError> {
        let running = self.configurations.running().await;
        let (config, policy) = (running.config.clone(), running.policy.clone());
        drop(running);
        for row in self.pools(&config).await? {
            reply.row(&row).await?;
        }
        for (place, forward) in config.nat().forwards.iter().enumerate() {
            let row = NatRow::Forward {
                interface: forward.interface.to_string(),
                protocol: forward.protocol.to_string(),
                destination: forward.destination.to_string(),
                to: forward.to.to_string(),
                hits: Some(policy.nat.forwarded_flows(place)),
            };
            reply.row(&row).await?;
        }
        for one in &config.nat().statics {
            let (external, internal) = (one.external, one.internal);
            reply.row(&NatRow::Static { on: one.on.to_string(), external, internal }).await?;
        }
        if query.mappings {
            self.mappings(query.source, reply).await?;
        }
        Ok(())
    }

    /// The pools, summed over the workers.
    async fn pools(&self, config: &Config) -> Result<Vec<NatRow>, AnswerError> {
        let mut sums: BTreeMap<(u16, u32, u8), PoolStatistics> = BTreeMap::new();
        let inspector = &self.configurations.inspector;
        for worker in 0..inspector.workers() {
            for one in inspector.pools(worker).await.map_err(refused)? {
                let key = (one.masquerade.0, one.address, one.protocol.0);
                sums.entry(key)
                    .and_modify(|sum| {
                        sum.ports += one.ports;
                        sum.in_use += one.in_use;
                        sum.resting += one.resting;
                        sum.exhausted += one.exhausted;
                    })
                    .or_insert(one);
            }
        }
        let row = |sum: PoolStatistics| {
            let masquerade = config.nat().masquerades.get(usize::from(sum.masquerade.0));
            NatRow::Pool {
                masquerade: sum.masquerade.0.into(),
                out: masquerade.map_or_else(String::new, |masquerade| masquerade.out.to_string()),
                sources: masquerade.map_or_else(Vec::new, |masquerade| {
                    masquerade.source.iter().copied().map(IpNet::V4).collect()
                }),
                address: Ipv4Addr::from_bits(sum.address).into(),
                protocol: IpProtocol(sum.protocol.0).to_string(),
                ports: sum.ports.into(),
                in_use: sum.in_use.into(),
                resting: sum.resting.into(),
                mappings: sum.in_use.into(),
                exhausted: sum.exhausted,
            }
        };
        Ok(sums.into_values().map(row).collect())
    }

    async fn mappings(
        &self,
        source: Option<IpNet>,
        reply: &mut Reply<'_>,
    ) -> Result<(), AnswerError> {
        let inspector = &self.configurations.inspector;
        for worker in 0..inspector.workers() {
            let mut from = Some(0);
            while let Some(start) = from {
                let (rows, next) = inspector.mappings(worker, start).await.map_err(refused)?;
                for view in rows {
                    let inside = Ipv4Addr::from_bits(view.inside.0).into();
                    if source.is_some_and(|network| !network.contains(&inside)) {
                        continue;
                    }
                    let row = NatRow::Mapping {
                        masquerade: view.masquerade.0.into(),
                        protocol: IpProtocol(view.protocol.0).to_string(),
                        inside,
                        inside_port: view.inside.1,
                        external: Ipv4Addr::from_bits(view.external.0).into(),
                        external_port: view.external.1,
                        flows: view.flows,
                        worker: worker as u32,
                    };
                    reply.row(&row).await?;
                }
                from = next;
            }
        }
        Ok(())
    }

    pub(crate) async fn firewall(&self, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        let rows = rule_rows(&self.configurations.running().await);
        for row in rows {
            reply.row(&row).await?;
        }
        Ok(())
    }
}

/// The rules with their hits, and the defaults behind them.
fn rule_rows(running: &MutexGuard<'_, Running>) -> Vec<RuleRow> {
    let Running { config, policy, totals, .. } = &**running;
    let (Some(firewall), Some(rules)) = (config.firewall(), &policy.rules) else {
        return Vec::new();
    };
    let hits = |slot| totals.hits(slot, &policy.hits);
    let action = |action| match action {
        config::Action::Accept => RuleAction::Accept,
        config::Action::Drop => RuleAction::Drop,
        config::Action::Reject => RuleAction::Reject,
    };
    let mut rows: Vec<_> = firewall
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| RuleRow {
            place: Some(at as u32 + 1),
            name: rule.name.to_string(),
            from: rule.from.iter().flatten().map(ToString::to_string).collect(),
            to: rule.to.iter().flatten().map(ToString::to_string).collect(),
            source: rule.source.as_ref().map_or_else(Vec::new, |list| list.written().to_vec()),
            destination: rule
                .destination
                .as_ref()
                .map_or_else(Vec::new, |list| list.written().to_vec()),
            service: rule.service.as_ref().map_or_else(Vec::new, |list| list.written().to_vec()),
            action: action(rule.action),
            log: rule.log,
            hits: hits(at),
        })
        .collect();
    let default = |name: &str, id, of| RuleRow {
        place: None,
        name: name.to_owned(),
        from: Vec::new(),
        to: Vec::new(),
        source: Vec::new(),
        destination: Vec::new(),
        service: Vec::new(),
        action: action(of),
        log: firewall.log_default,
        hits: hits(rules.counter_slot(id)),
    };
    rows.push(default("default", portcullis_firewall::RuleId::DEFAULT, firewall.default));
    let gateway = portcullis_firewall::RuleId::GATEWAY_DEFAULT;
    let mut own = default("gateway-default", gateway, firewall.gateway_default);
    own.to = vec![config::Zone::Gateway.to_string()];
    rows.push(own);
    rows
}
