//! The drop of the kernel's own copy: a classifier at a device's ingress hook (tc(8), `clsact`)
//! whose program is a single instruction.
//!
//! The program is in the old instruction set of socket filters (`struct sock_filter`,
//! `linux/filter.h`): that needs neither bpf(2) nor its rights, and every kernel with `cls_bpf`
//! takes it. In direct-action mode what it returns is the verdict.

use crate::links::{LinkError, LinkErrorKind, Links, Request};

const TC_H_CLSACT: u32 = 0xffff_fff1;
const TC_H_CLSACT_HANDLE: u32 = 0xffff_0000;
/// `TC_H_MIN_INGRESS` and `TC_H_MIN_EGRESS` of clsact.
const HOOKS: [u32; 2] = [0xffff_fff2, 0xffff_fff3];
const INGRESS: u32 = HOOKS[0];

/// First in line, and ours by its number: a second [`Links::mute`] finds it.
const PRIORITY: u32 = 1;
const FILTER: u32 = 1;

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
const TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;

/// `BPF_RET | BPF_K` with `TC_ACT_SHOT`: drop whatever it is.
const DROP: (u16, u32) = (0x06, 2);

impl Links {
    /// Lets the device drop the kernel's own copy of all that it receives. Packet sockets still see
    /// it. May be done twice; ends when the device leaves the namespace, or by [`Self::unmute`].
    ///
    /// # Errors
    /// The kernel's; [`LinkErrorKind::Exists`] if another classifier is first in line there.
    pub fn mute(&mut self, device: &str) -> Result<(), LinkError> {
        let index = self.find(device)?.index.0;
        let hook = Request::create(libc::RTM_NEWQDISC)
            .header(&header(index, TC_H_CLSACT_HANDLE, TC_H_CLSACT, 0))
            .string(TCA_KIND, "clsact");
        match self.tell("make its ingress hook", device, hook) {
            // A hook of somebody else is as good.
            Err(LinkError { kind: LinkErrorKind::Exists(_), .. }) | Ok(()) => {}
            Err(error) => return Err(error),
        }
        let (code, value) = DROP;
        let instruction = [&code.to_ne_bytes()[..], &[0, 0], &value.to_ne_bytes()].concat();
        let filter = Request::create_or_change(libc::RTM_NEWTFILTER)
            .header(&header(index, FILTER, INGRESS, all_protocols()))
            .string(TCA_KIND, "bpf")
            .nested(TCA_OPTIONS, |options| {
                options
                    .bytes(TCA_BPF_OPS_LEN, &1u16.to_ne_bytes())
                    .bytes(TCA_BPF_OPS, &instruction)
                    .u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT)
            });
        self.tell("drop the kernel's copy", device, filter)
    }

    /// Undoes [`Self::mute`]; nothing if it was not done.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmute(&mut self, device: &str) -> Result<(), LinkError> {
        let index = self.find(device)?.index.0;
        if self.classifiers(device, index, INGRESS)? == 0 {
            return Ok(());
        }
        let filter = Request::new(libc::RTM_DELTFILTER)
            .header(&header(index, FILTER, INGRESS, all_protocols()))
            .string(TCA_KIND, "bpf");
        match self.tell("stop dropping the kernel's copy", device, filter) {
            // The classifiers there are others'.
            Err(LinkError { kind: LinkErrorKind::Missing(_), .. }) => return Ok(()),
            other => other?,
        }
        for hook in HOOKS {
            if self.classifiers(device, index, hook)? != 0 {
                return Ok(());
            }
        }
        let hook = Request::new(libc::RTM_DELQDISC).header(&header(
            index,
            TC_H_CLSACT_HANDLE,
            TC_H_CLSACT,
            0,
        ));
        self.tell("remove its ingress hook", device, hook)
    }

    fn classifiers(&mut self, device: &str, index: u32, hook: u32) -> Result<usize, LinkError> {
        let dump = Request::dump(libc::RTM_GETTFILTER).header(&header(index, 0, hook, 0));
        Ok(self.query("list its classifiers", device, dump)?.len())
    }
}

/// `struct tcmsg`.
fn header(index: u32, handle: u32, parent: u32, info: u32) -> [u8; 20] {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&handle.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    header[16..20].copy_from_slice(&info.to_ne_bytes());
    header
}

/// Priority and, in network byte order, `ETH_P_ALL`.
fn all_protocols() -> u32 {
    PRIORITY << 16 | u32::from((libc::ETH_P_ALL as u16).to_be())
}
