//! All counters of a gateway, gathered from the threads that write them.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_api::rows::{CounterRow, DropRow};
use portcullis_dataplane::{IoCounters, PipelineCounters};
use portcullis_drivers::PortStatus;
use portcullis_packet::{Counter, DropReason, IfIndex, PuntClass};
use portcullis_pipeline::WorkerCounters;
use portcullis_trap::TrapCounters;

/// The counters of one worker.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerSet {
    pub(crate) pipeline: Arc<WorkerCounters>,
    pub(crate) pipeline_loop: Arc<PipelineCounters>,
    pub(crate) io_loop: Arc<IoCounters>,
    /// Its ports, by interface.
    pub(crate) ports: Vec<Arc<PortStatus>>,
}

/// The counters of all threads.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    /// Names of the interfaces, by index.
    pub(crate) interfaces: Vec<String>,
    pub(crate) workers: Vec<WorkerSet>,
    pub(crate) trap: Arc<TrapCounters>,
}

/// What one interface carried, over all workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct PortTotals {
    pub(crate) rx_packets: u64,
    pub(crate) rx_bytes: u64,
    pub(crate) tx_packets: u64,
    pub(crate) tx_bytes: u64,
    pub(crate) drops: u64,
}

impl Counters {
    /// Drops for one reason, wherever they happened.
    fn dropped(&self, reason: DropReason) -> u64 {
        let of_worker = |worker: &WorkerSet| {
            let ports: u64 = worker.ports.iter().map(|p| p.counters.drops.get(reason)).sum();
            worker.pipeline.drops.get(reason) + worker.io_loop.drops.get(reason) + ports
        };
        self.workers.iter().map(of_worker).sum::<u64>() + self.trap.drops.get(reason)
    }

    /// Every reason there is.
    pub(crate) fn drop_rows(&self) -> impl Iterator<Item = DropRow> + '_ {
        DropReason::ALL.iter().map(|&reason| DropRow {
            reason: reason.name().to_owned(),
            packets: self.dropped(reason),
            help: reason.help().to_owned(),
        })
    }

    fn ports_of(&self, index: IfIndex) -> impl Iterator<Item = &Arc<PortStatus>> {
        self.workers.iter().filter_map(move |worker| worker.ports.get(index.slot()))
    }

    /// Whether an interface's device checks the checksums of IPv4 headers.
    pub(crate) fn checks_ip4(&self, index: IfIndex) -> bool {
        self.ports_of(index).any(|port| port.checks_ip4())
    }

    /// Why an interface's device is not in use, if it is not.
    pub(crate) fn problem(&self, index: IfIndex) -> Option<String> {
        self.ports_of(index).find_map(|port| port.problem())
    }

    /// What an interface's ports carried.
    pub(crate) fn port_totals(&self, index: IfIndex) -> PortTotals {
        self.ports_of(index).fold(PortTotals::default(), |sum, port| {
            let counters = &port.counters;
            PortTotals {
                rx_packets: sum.rx_packets + counters.rx_packets.get(),
                rx_bytes: sum.rx_bytes + counters.rx_bytes.get(),
                tx_packets: sum.tx_packets + counters.tx_packets.get(),
                tx_bytes: sum.tx_bytes + counters.tx_bytes.get(),
                drops: sum.drops + counters.drops.total(),
            }
        })
    }

    /// Every counter but the drops.
    pub(crate) fn rows(&self) -> Vec<CounterRow> {
        let mut rows = Vec::new();
        for (number, worker) in self.workers.iter().enumerate() {
            worker_rows(&mut rows, &number.to_string(), worker, &self.interfaces);
        }
        for class in PuntClass::ALL {
            let labels = [("class", class.name())];
            let counters = self.trap.class(class);
            rows.push(row("punt_delivered_packets", &labels, &counters.delivered, DELIVERED));
            rows.push(row("punt_refused_packets", &labels, &counters.refused, REFUSED));
        }
        for (slot, name) in self.interfaces.iter().enumerate() {
            let Some(tap) = self.trap.interface(IfIndex(slot as u16)) else { continue };
            let labels = [("interface", name.as_str())];
            rows.push(row("tap_to_kernel_packets", &labels, &tap.to_kernel, TO_KERNEL));
            rows.push(row("tap_to_kernel_bytes", &labels, &tap.to_kernel_bytes, TO_KERNEL_BYTES));
            rows.push(row("tap_from_kernel_packets", &labels, &tap.from_kernel, FROM_KERNEL));
            let bytes = &tap.from_kernel_bytes;
            rows.push(row("tap_from_kernel_bytes", &labels, bytes, FROM_KERNEL_BYTES));
        }
        rows
    }
}

const DELIVERED: &str = "Packets of this class that the kernel in vpc took.";
const REFUSED: &str = "Packets of this class that the kernel in vpc did not take.";
const TO_KERNEL: &str = "Frames handed to the kernel in vpc through this interface's tap.";
const TO_KERNEL_BYTES: &str = "Bytes of frames handed to the kernel in vpc.";
const FROM_KERNEL: &str = "Frames that the kernel in vpc sent through this interface's tap.";
const FROM_KERNEL_BYTES: &str = "Bytes of frames that the kernel in vpc sent.";

fn row(name: &str, labels: &[(&str, &str)], counter: &Counter, help: &str) -> CounterRow {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect();
    CounterRow { name: name.to_owned(), labels, value: counter.get(), help: help.to_owned() }
}

fn worker_rows(
    rows: &mut Vec<CounterRow>,
    number: &str,
    worker: &WorkerSet,
    interfaces: &[String],
) {
    let of_worker = [("worker", number)];
    let pipeline = &worker.pipeline;
    let plain = [
        ("received_packets", &pipeline.received, "Packets that the pipeline took from ports."),
        ("batches", &pipeline.batches, "Batches that the pipeline took from ports."),
        ("injected_packets", &pipeline.injected, "Packets from taps sent out of their devices."),
        ("held_packets", &pipeline.held, "Packets that waited for a link-layer address."),
        ("released_packets", &pipeline.released, "Packets whose wait ended, well or not."),
        ("icmp_errors_sent", &pipeline.icmp_errors, "ICMP and ICMPv6 errors sent."),
        (
            "icmp_errors_suppressed",
            &pipeline.icmp_suppressed,
            "ICMP and ICMPv6 errors not sent, for their rate limit.",
        ),
        ("pieces", &pipeline.pieces, "Fragments and segments made here."),
        ("flows_opened", &pipeline.flows_opened, "Flows that began."),
        (
            "flows_revoked",
            &pipeline.flows_revoked,
            "Flows without packets that ended because a new configuration does not allow them.",
        ),
        ("icmp_related", &pipeline.icmp_related, "ICMP errors passed on as part of a flow."),
        ("resets_sent", &pipeline.resets, "TCP resets sent for the firewall."),
        (
            "events_lost",
            &worker.pipeline_loop.events_lost,
            "Lines for the log that found no room on their way to it.",
        ),
        (
            "questions_lost",
            &worker.pipeline_loop.questions_lost,
            "Addresses to be resolved that found no room in the queue, and were asked again.",
        ),
        ("pipeline_sleeps", &worker.pipeline_loop.sleeps, "Times the pipeline thread slept."),
        ("io_batches", &worker.io_loop.batches, "Batches handed to the pipeline."),
        (
            "io_waits",
            &worker.io_loop.waits,
            "Turns in which frames stayed in the devices because the pipeline was behind.",
        ),
        (
            "handed_over_packets",
            &worker.io_loop.handed_over,
            "Packets given to other workers, which have their flows.",
        ),
        ("taken_over_packets", &worker.io_loop.taken_over, "Packets that came from other workers."),
        ("io_sleeps", &worker.io_loop.sleeps, "Times the I/O thread slept."),
        (
            "io_buffers_made",
            &worker.io_loop.buffers_made,
            "Buffers made anew because others went to the kernel for good.",
        ),
    ];
    rows.extend(plain.map(|(name, counter, help)| row(name, &of_worker, counter, help)));
    rows.push(CounterRow {
        name: "flows".to_owned(),
        labels: BTreeMap::from([("worker".to_owned(), number.to_owned())]),
        value: pipeline.flows.get(),
        help: "Flows that there are now.".to_owned(),
    });
    for (family, traffic) in [("ipv4", &pipeline.ip4), ("ipv6", &pipeline.ip6)] {
        let labels = [("worker", number), ("family", family)];
        let help = "Packets forwarded.";
        rows.push(row("forwarded_packets", &labels, &traffic.packets, help));
        let help = "Bytes forwarded, from the network header on.";
        rows.push(row("forwarded_bytes", &labels, &traffic.bytes, help));
    }
    for class in PuntClass::ALL {
        let labels = [("worker", number), ("class", class.name())];
        if let Some(counter) = pipeline.punted.get(class.slot()) {
            rows.push(row("punted_packets", &labels, counter, "Packets for the kernel in vpc."));
        }
    }
    for (name, port) in interfaces.iter().zip(&worker.ports) {
        let labels = [("worker", number), ("interface", name.as_str())];
        let counters = &port.counters;
        let of_port = [
            ("rx_packets", &counters.rx_packets, "Frames received."),
            ("rx_bytes", &counters.rx_bytes, "Bytes received."),
            ("tx_packets", &counters.tx_packets, "Frames sent."),
            ("tx_bytes", &counters.tx_bytes, "Bytes sent."),
            ("port_errors", &counters.errors, "Failed system calls that lost no frame."),
            ("port_opened", &counters.opened, "Times the device was taken into use."),
        ];
        rows.extend(of_port.map(|(name, counter, help)| row(name, &labels, counter, help)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        let ports = vec![Arc::new(PortStatus::new()), Arc::new(PortStatus::new())];
        let worker = WorkerSet { ports, ..WorkerSet::default() };
        Counters {
            interfaces: vec!["wan".into(), "lan".into()],
            workers: vec![worker.clone(), WorkerSet { ports: vec![], ..worker }],
            trap: Arc::new(TrapCounters::new(2)),
        }
    }

    #[test]
    fn a_drop_is_found_wherever_it_was_counted() {
        let counters = counters();
        counters.workers[0].pipeline.drops.add(DropReason::NoRoute, 1);
        counters.workers[0].io_loop.drops.add(DropReason::NoRoute, 10);
        counters.workers[0].ports[1].counters.drops.add(DropReason::NoRoute, 100);
        counters.trap.drops.add(DropReason::NoRoute, 1000);
        let rows: Vec<_> = counters.drop_rows().collect();
        assert_eq!(rows.len(), DropReason::COUNT);
        for row in rows {
            // The second worker shares the first one's pipeline and I/O counters here.
            let expected = if row.reason == "no-route" { 1122 } else { 0 };
            assert_eq!(row.packets, expected, "{}", row.reason);
        }
    }

    #[test]
    fn no_two_counters_have_one_name_and_the_same_labels() {
        let mut seen = std::collections::HashSet::new();
        for row in counters().rows() {
            assert!(row.help.ends_with('.'), "{}", row.help);
            assert!(seen.insert((row.name.clone(), row.labels.clone())), "{} twice", row.name);
        }
    }

    #[test]
    fn an_interface_is_the_sum_of_its_ports() {
        let counters = counters();
        counters.workers[0].ports[1].counters.rx_packets.add(3);
        counters.workers[0].ports[1].counters.drops.add(DropReason::TxFull, 2);
        let totals = counters.port_totals(IfIndex(1));
        assert_eq!((totals.rx_packets, totals.drops), (3, 2));
        assert_eq!(counters.port_totals(IfIndex(0)), PortTotals::default());
    }
}
