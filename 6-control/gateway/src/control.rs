//! What the control socket answers.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use portcullis_api::rows::{ChangeRow, ConfigRow, InterfaceRow, SeccompMode, ThreadRow};
use portcullis_api::server::{AnswerError, Handler, Reply};
use portcullis_api::{Change, ConfigFile, Flush, FlushFlows, Request, Show};
use portcullis_manager::Handle;
use portcullis_os::privileges::Privileges;
use portcullis_os::proc::{self, ThreadState, ThreadStatus};
use portcullis_packet::IfIndex;
use portcullis_routing::Interface;

use crate::assemble::Assembly;
use crate::counters::Counters;
use crate::running::{Configurations, Refusal};

/// Answers requests from what the threads show of themselves.
pub(crate) struct Control {
    pub(crate) configurations: Configurations,
    file: PathBuf,
    pub(crate) counters: Counters,
    manager: Handle,
    /// Names of namespaces by inode.
    namespaces: HashMap<u64, String>,
}

impl Control {
    pub(crate) fn new(configurations: Configurations, file: &Path, assembly: &Assembly) -> Self {
        Self {
            configurations,
            file: file.to_owned(),
            counters: assembly.counters.clone(),
            manager: assembly.manager.clone(),
            namespaces: assembly.namespaces.clone(),
        }
    }

    fn thread_row(&self, thread: &ThreadStatus) -> ThreadRow {
        let namespace = match thread.netns {
            None => "unknown".to_owned(),
            Some(inode) => {
                self.namespaces.get(&inode).cloned().unwrap_or_else(|| "private".to_owned())
            }
        };
        ThreadRow {
            name: thread.name.clone(),
            tid: thread.tid,
            role: role(&thread.name).to_owned(),
            namespace,
            cpus_allowed: thread.cpus_allowed.to_string(),
            last_cpu: u32::from(thread.last_cpu.0),
            cap_effective: names(thread.effective),
            cap_permitted: names(thread.permitted),
            cap_inheritable: names(thread.inheritable),
            cap_bounding: names(thread.bounding),
            cap_ambient: names(thread.ambient),
            no_new_privs: thread.no_new_privs,
            seccomp: match thread.seccomp {
                proc::SeccompMode::Off => SeccompMode::Disabled,
                proc::SeccompMode::Strict => SeccompMode::Strict,
                proc::SeccompMode::Filter | proc::SeccompMode::Other(_) => SeccompMode::Filter,
            },
            cpu_time_seconds: (thread.user_time + thread.system_time).as_secs_f64(),
            state: letter(thread.state).to_string(),
        }
    }

    async fn threads(&self, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        let threads = proc::threads()
            .map_err(|error| AnswerError::Refused(format!("/proc can't be read: {error}")))?;
        for thread in &threads {
            reply.row(&self.thread_row(thread)).await?;
        }
        Ok(())
    }

    async fn interfaces(&self, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        let seen = self.manager.interfaces().await.map_err(refused)?;
        let config = self.configurations.running().await.config.clone();
        for (slot, interface) in config.interfaces().iter().enumerate() {
            let Some(now) = seen.get(slot) else { continue };
            let totals = self.counters.port_totals(IfIndex(slot as u16));
            let offload = now.offload;
            let checks_ip4 = self.counters.checks_ip4(IfIndex(slot as u16));
            let offloads = [
                (checks_ip4, "rx-checksum"),
                (offload.checksum, "tx-checksum"),
                (offload.tcp_segmentation, "tso"),
                (offload.udp_segmentation, "uso"),
            ];
            let row = InterfaceRow {
                name: interface.name.to_string(),
                index: slot as u32,
                driver: interface.driver.to_string(),
                device: interface.device.to_string(),
                mac: now.mac.to_string(),
                mtu: u32::from(now.mtu),
                admin_up: now.admin_up,
                carrier: now.carrier,
                addresses: addresses(now),
                zone: interface.zone.to_string(),
                rx_packets: totals.rx_packets,
                rx_bytes: totals.rx_bytes,
                tx_packets: totals.tx_packets,
                tx_bytes: totals.tx_bytes,
                drops: totals.drops,
                offloads: offloads.into_iter().filter(|o| o.0).map(|o| o.1.to_owned()).collect(),
                problem: self.counters.problem(IfIndex(slot as u16)),
            };
            reply.row(&row).await?;
        }
        Ok(())
    }

    /// Says what was changed, or why not: then those changes that stand in the way.
    async fn change(
        &self,
        outcome: Result<Vec<ChangeRow>, Refusal>,
        reply: &mut Reply<'_>,
    ) -> Result<(), AnswerError> {
        let (rows, refusal) = match outcome {
            Ok(rows) => (rows, None),
            Err(refusal) => {
                let text = refusal.to_string();
                let rows = match refusal {
                    Refusal::NeedsRestart(rows) => rows,
                    Refusal::Invalid(_) | Refusal::Silent(_) | Refusal::Manager(_) => Vec::new(),
                };
                (rows, Some(text))
            }
        };
        for row in &rows {
            reply.row(row).await?;
        }
        refusal.map_or(Ok(()), |text| Err(AnswerError::Refused(text)))
    }

    async fn show(&self, show: Show, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        match show {
            Show::Threads {} => self.threads(reply).await,
            Show::Interfaces {} => self.interfaces(reply).await,
            Show::Routes(filter) => {
                let mut rows = self.manager.routes(filter);
                while let Some(some) = rows.next().await.map_err(refused)? {
                    for row in &some {
                        reply.row(row).await?;
                    }
                }
                Ok(())
            }
            Show::Neighbors(filter) => {
                for row in self.manager.neighbors(filter).await.map_err(refused)? {
                    reply.row(&row).await?;
                }
                Ok(())
            }
            Show::Drops {} => {
                for row in self.counters.drop_rows() {
                    reply.row(&row).await?;
                }
                Ok(())
            }
            Show::Counters {} => {
                for row in self.counters.rows() {
                    reply.row(&row).await?;
                }
                Ok(())
            }
            Show::Config {} => {
                let config = self.configurations.running().await.config.clone();
                let row = ConfigRow {
                    file: self.file.display().to_string(),
                    toml: config.to_toml(),
                    config: config.to_json(),
                };
                reply.row(&row).await
            }
            Show::Flows(query) => self.flows(&query, reply).await,
            Show::Nat(query) => self.nat(&query, reply).await,
            Show::Firewall {} => self.firewall(reply).await,
        }
    }
}

impl Handler for Control {
    async fn answer(&self, request: Request, reply: &mut Reply<'_>) -> Result<(), AnswerError> {
        match request {
            Request::Show(show) => self.show(show, reply).await,
            Request::Flush(Flush::Flows(FlushFlows { filter })) => self.flush(&filter, reply).await,
            Request::Change(Change::Apply(ConfigFile { file, text })) => {
                self.change(self.configurations.apply(&file, &text).await, reply).await
            }
            Request::Change(Change::Diff(ConfigFile { file, text })) => {
                self.change(self.configurations.diff(&file, &text).await, reply).await
            }
        }
    }
}

pub(crate) fn refused(error: impl std::fmt::Display) -> AnswerError {
    AnswerError::Refused(error.to_string())
}

fn addresses(interface: &Interface) -> Vec<IpNet> {
    let v4 = interface.addresses4.iter().copied().map(IpNet::V4);
    v4.chain(interface.addresses6.iter().copied().map(IpNet::V6)).collect()
}

fn names(privileges: Privileges) -> Vec<String> {
    let text = privileges.to_string();
    text.split(',').filter(|&name| name != "none").map(str::to_owned).collect()
}

/// The letter that proc(5) has for it.
fn letter(state: ThreadState) -> char {
    match state {
        ThreadState::Running => 'R',
        ThreadState::Sleeping => 'S',
        ThreadState::DiskSleep => 'D',
        ThreadState::Stopped => 'T',
        ThreadState::Dead => 'X',
        ThreadState::Other(letter) => letter,
    }
}

/// What a thread does, by the name that it was started under.
fn role(name: &str) -> &'static str {
    match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
        "pc-io-" => "io",
        "pc-pipe-" => "pipeline",
        "pc-worker-" => "worker",
        "pc-dpdk" => "dpdk",
        "pc-trap" => "trap",
        "pc-vpc" => "vpc-manager",
        _ => "control",
    }
}
