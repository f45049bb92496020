#[path = "../../tests/loops/allocations.rs"]
mod allocations;
mod steered;
mod threads;

use super::*;
use crate::{BATCHES, PipelineEnd, exchange};
use portcullis_drivers::memory::{MemoryPort, pair};

const PORTS: u16 = 3;

/// A loop over ports in memory, the far ends of their wires, and the pipeline's end.
fn io_loop() -> (IoLoop, Vec<MemoryPort>, PipelineEnd) {
    let (io, pipeline) = exchange(BATCHES).expect("doorbells");
    let (near, far): (Vec<_>, Vec<_>) =
        (0..PORTS).map(|n| pair(IfIndex(n), IfIndex(n), 4096)).unzip();
    let ports = near.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect();
    let config = IoConfig { small_buffers: 0, large_buffers: 0, idle: IdlePolicy::SHARED };
    (IoLoop::new(config, ports, IoLinks::alone(io), Stop::new(), Arc::default()), far, pipeline)
}

fn flood(far: &mut [MemoryPort]) {
    let mut pool = Pool::new(PoolLimits { small: 0, large: 0 });
    for port in far {
        let mut frames = (0..4096).map(|_| Packet::from_bytes(b"frame")).collect();
        assert_eq!(port.transmit(&mut frames, &mut pool), 4096);
    }
}

#[test]
fn frames_wait_in_the_ports_while_the_pipeline_has_all_batches() {
    let (mut io, mut far, mut pipeline) = io_loop();
    flood(&mut far);
    while io.turn(Instant(0), &mut Elsewhere) {}
    assert_eq!(pipeline.work.len(), BATCHES);
    let mut batch = pipeline.work.take().expect("a batch");
    batch.clear();
    assert!(pipeline.done.send(batch).is_ok());
    assert!(io.turn(Instant(0), &mut Elsewhere) && io.turn(Instant(0), &mut Elsewhere));
    assert_eq!(pipeline.work.len(), BATCHES, "the batch that came home is filled again");
}

#[test]
fn no_port_starves_another_however_slow_the_pipeline_is() {
    let (mut io, mut far, mut pipeline) = io_loop();
    flood(&mut far);
    let mut received = [0; PORTS as usize];
    for _ in 0..60 {
        while io.turn(Instant(0), &mut Elsewhere) {}
        let mut batch = pipeline.work.take().expect("a batch");
        for packet in batch.drain(..) {
            received[packet.meta().rx_if.slot()] += 1;
        }
        assert!(pipeline.done.send(batch).is_ok());
    }
    let (least, most) = (received.iter().min(), received.iter().max());
    assert!(least >= Some(&(18 * BATCH)) && most <= Some(&(22 * BATCH)), "{received:?}");
}
