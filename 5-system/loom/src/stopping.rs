//! Nobody is inside of a device when it is stopped.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use crate::gate::Gate;

/// A device that two threads must not be inside of at once; the checker complains if they are.
struct Device {
    gate: Gate,
    state: UnsafeCell<u32>,
}

// SAFETY: that is what is checked.
unsafe impl Sync for Device {}

/// Polls the device as often as it may, some times over, and leaves.
fn poll(device: &Device, place: usize) {
    for _ in 0..2 {
        if device.gate.lets_pass(place) {
            // SAFETY: as above.
            device.state.with(|state| unsafe { assert!(*state < 3) });
        }
        thread::yield_now();
    }
    device.gate.leave(place);
}

/// Stops the device and starts it again, if nobody is inside at a first or second look; to wait for that would be
/// schedules without end.
fn restart(device: &Device) {
    device.gate.close();
    if device.gate.is_deserted() || device.gate.is_deserted() {
        // SAFETY: as above.
        device.state.with_mut(|state| unsafe { *state += 1 });
    }
    device.gate.open();
}

pub(crate) fn check() {
    for (pollers, restarts) in [(1, 2), (2, 1)] {
        loom::model(move || {
            let device = Arc::new(Device { gate: Gate::new(2), state: UnsafeCell::new(0) });
            let threads: Vec<_> = (0..pollers)
                .map(|place| {
                    assert!(device.gate.enter(place) && !device.gate.enter(place));
                    let device = Arc::clone(&device);
                    thread::spawn(move || poll(&device, place))
                })
                .collect();
            for _ in 0..restarts {
                restart(&device);
            }
            for thread in threads {
                thread.join().expect("no panic");
            }
        });
        println!("{pollers} pollers, {restarts} restarts: never both inside");
    }
}
