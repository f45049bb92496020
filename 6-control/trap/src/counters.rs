//! What the trap thread counts. It is the only writer; anybody reads.

use portcullis_packet::{Counter, DropCounters, IfIndex, PuntClass};

/// What became of the packets of one class.
#[derive(Debug, Default)]
pub struct ClassCounters {
    /// Packets that a tap took.
    pub delivered: Counter,
    /// Packets that it refused, or for which there was none.
    pub refused: Counter,
}

/// What crossed the tap of one interface. The kernel's own statistics of the tap mirror these.
#[derive(Debug, Default)]
pub struct InterfaceCounters {
    /// Frames handed to the kernel.
    pub to_kernel: Counter,
    /// Their bytes.
    pub to_kernel_bytes: Counter,
    /// Frames that the kernel sent and a pipeline took.
    pub from_kernel: Counter,
    /// Their bytes.
    pub from_kernel_bytes: Counter,
}

/// The counters of the trap thread, on cache lines that no other thread writes.
#[derive(Debug)]
#[repr(align(64))]
pub struct TrapCounters {
    classes: [ClassCounters; PuntClass::ALL.len()],
    interfaces: Box<[InterfaceCounters]>,
    /// Frames dropped here, both ways, by reason.
    pub drops: DropCounters,
}

impl TrapCounters {
    /// All zero, for interfaces with an index below `interfaces`.
    #[must_use]
    pub fn new(interfaces: usize) -> Self {
        Self {
            classes: Default::default(),
            interfaces: (0..interfaces).map(|_| InterfaceCounters::default()).collect(),
            drops: DropCounters::new(),
        }
    }

    /// The counters of one class.
    #[must_use]
    pub fn class(&self, class: PuntClass) -> &ClassCounters {
        let [neighbor, routing, bfd, other] = &self.classes;
        match class {
            PuntClass::Neighbor => neighbor,
            PuntClass::Routing => routing,
            PuntClass::Bfd => bfd,
            PuntClass::Other => other,
        }
    }

    /// The counters of one interface, if it has any.
    #[must_use]
    pub fn interface(&self, index: IfIndex) -> Option<&InterfaceCounters> {
        self.interfaces.get(index.slot())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_and_each_interface_is_counted_apart() {
        let counters = TrapCounters::new(2);
        for (n, class) in PuntClass::ALL.into_iter().enumerate() {
            counters.class(class).delivered.add(n as u64 + 1);
        }
        let seen = PuntClass::ALL.map(|class| counters.class(class).delivered.get());
        assert_eq!(seen, [1, 2, 3, 4]);
        counters.interface(IfIndex(1)).expect("the second of two").from_kernel.add(3);
        assert_eq!(counters.interface(IfIndex(0)).map(|c| c.from_kernel.get()), Some(0));
        assert!(counters.interface(IfIndex(2)).is_none());
        assert!(counters.interface(IfIndex::NONE).is_none());
    }
}
