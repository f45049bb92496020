//! The mirror's side of a reading of all tables: which table a dump is about.

use super::Mirror;
use crate::event::Event;
use crate::mirrored::Origin;
use crate::netlink::Dump;
use crate::resync::Ended;

impl Mirror {
    /// The dump to ask for now, if any, with the number to give the request.
    pub(crate) fn next_dump(&mut self) -> Option<(Dump, u32)> {
        let (dump, sequence) = self.resync.next()?;
        self.begin_sync(dump);
        Some((dump, sequence))
    }

    /// The dump with this number has ended, or was refused.
    pub(crate) fn end_dump(&mut self, sequence: u32, refused: bool) {
        let dump = self.resync.current();
        match (self.resync.ended(sequence, refused), dump) {
            (Ended::Complete, Some(dump)) => self.finish_sync(dump),
            (Ended::Failed, Some(dump)) => {
                tracing::warn!(?dump, "the kernel does not give this table");
                self.abort_sync(dump);
            }
            (Ended::Complete | Ended::Failed | Ended::Repeat | Ended::Unknown, _) => {}
        }
    }

    fn begin_sync(&mut self, dump: Dump) {
        match dump {
            Dump::Links => self.links.begin_sync(),
            Dump::Addresses4 => self.addresses.v4.begin_sync(),
            Dump::Addresses6 => self.addresses.v6.begin_sync(),
            Dump::Neighbors4 => self.neighbors.v4.begin_sync(),
            Dump::Neighbors6 => self.neighbors.v6.begin_sync(),
            Dump::Objects => self.objects.begin_sync(),
            Dump::Routes4 => self.rib4.begin_sync(),
            Dump::Routes6 => self.rib6.begin_sync(),
        }
    }

    fn abort_sync(&mut self, dump: Dump) {
        match dump {
            Dump::Links => self.links.abort_sync(),
            Dump::Addresses4 => self.addresses.v4.abort_sync(),
            Dump::Addresses6 => self.addresses.v6.abort_sync(),
            Dump::Neighbors4 => self.neighbors.v4.abort_sync(),
            Dump::Neighbors6 => self.neighbors.v6.abort_sync(),
            Dump::Objects => self.objects.abort_sync(),
            Dump::Routes4 => self.rib4.abort_sync(),
            Dump::Routes6 => self.rib6.abort_sync(),
        }
    }

    /// What the dump did not mention is gone.
    fn finish_sync(&mut self, dump: Dump) {
        match dump {
            Dump::Links => {
                for (index, _) in self.links.finish_sync() {
                    self.link_gone(index);
                }
            }
            Dump::Addresses4 | Dump::Addresses6 => {
                let table = match dump {
                    Dump::Addresses4 => &mut self.addresses.v4,
                    _ => &mut self.addresses.v6,
                };
                for ((index, _), _) in table.finish_sync() {
                    self.address_changed(index);
                }
            }
            Dump::Neighbors4 | Dump::Neighbors6 => {
                let table = match dump {
                    Dump::Neighbors4 => &mut self.neighbors.v4,
                    _ => &mut self.neighbors.v6,
                };
                for (key, _) in table.finish_sync() {
                    self.neighbor_changed(key);
                }
            }
            Dump::Objects => {
                for (id, _) in self.objects.finish_sync() {
                    self.object_gone(id, Origin::Dumped);
                }
            }
            Dump::Routes4 => self.rib4.finish_sync(&mut self.specs),
            Dump::Routes6 => self.rib6.finish_sync(&mut self.specs),
        }
    }

    /// A dump of the devices in `link` begins.
    pub(crate) fn begin_device_sync(&mut self) {
        self.devices.begin_sync();
    }

    /// It is complete.
    pub(crate) fn finish_device_sync(&mut self) {
        for (index, _) in self.devices.finish_sync() {
            self.handle_device(Event::LinkGone(index), Origin::Announced);
        }
    }
}
