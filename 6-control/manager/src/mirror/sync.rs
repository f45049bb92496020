//! The mirror's side of a reading of all tables: which table a dump is about.

use super::Mirror;
use crate::event::Event;
use crate::mirrored::Origin;
use crate::netlink::Dump;

impl Mirror {
    /// A dump of a table in `vpc` begins.
    pub(crate) fn begin_sync(&mut self, dump: Dump) {
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

    /// The kernel would not make the dump.
    pub(crate) fn abort_sync(&mut self, dump: Dump) {
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

    /// The dump is complete: what it did not mention is gone.
    pub(crate) fn finish_sync(&mut self, dump: Dump) {
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
                    self.object_gone(id);
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
