//! What `shim/shim.h` declares; both sides assert the sizes.

use std::ffi::{c_char, c_int, c_void};

use portcullis_packet::Frame;

/// A [`Frame`]: no business of C's.
pub(crate) type Header = c_void;

/// A frame that came in.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Received {
    pub(crate) frame: *mut Header,
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) flags: u32,
    reserved: u32,
}

/// The frame is not one piece of its pool's own memory.
pub(crate) const ODD: u32 = 1;

impl Received {
    pub(crate) const NONE: Self =
        Self { frame: std::ptr::null_mut(), start: 0, length: 0, flags: 0, reserved: 0 };
}

/// A frame that is to go out.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Sending {
    pub(crate) frame: *mut Header,
    pub(crate) start: u32,
    pub(crate) length: u32,
    pub(crate) l2: u16,
    pub(crate) l3: u16,
    pub(crate) flags: u32,
}

pub(crate) const CHECKSUM_TCP4: u32 = 1;
pub(crate) const CHECKSUM_TCP6: u32 = 2;
pub(crate) const CHECKSUM_UDP4: u32 = 3;
pub(crate) const CHECKSUM_UDP6: u32 = 4;

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct DeviceFacts {
    pub(crate) driver: [u8; 32],
    pub(crate) mac: [u8; 8],
    pub(crate) max_rx_queues: u16,
    pub(crate) max_tx_queues: u16,
    pub(crate) min_mtu: u16,
    pub(crate) max_mtu: u16,
    pub(crate) numa_node: i32,
    pub(crate) offloads: u32,
    pub(crate) rss_functions: u64,
}

pub(crate) const OFFLOAD_TX_L4: u32 = 1;

#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Setup {
    pub(crate) rx_queues: u16,
    pub(crate) tx_queues: u16,
    pub(crate) rx_descriptors: u16,
    pub(crate) tx_descriptors: u16,
    pub(crate) mtu: u16,
    pub(crate) reserved: u16,
    pub(crate) offloads: u32,
    pub(crate) rss_functions: u64,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct LinkFacts {
    pub(crate) up: u32,
    pub(crate) megabits: u32,
    pub(crate) full_duplex: u32,
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Statistics {
    pub(crate) received: u64,
    pub(crate) missed: u64,
    pub(crate) rx_errors: u64,
    pub(crate) no_buffer: u64,
    pub(crate) tx_errors: u64,
}

/// Takes a line of DPDK's log.
pub(crate) type Sink = unsafe extern "C" fn(level: u32, text: *const c_char, length: usize);

/// Is told of each buffer of a new pool.
pub(crate) type Made = unsafe extern "C" fn(frame: *mut Header, memory: *mut u8, capacity: u32);

unsafe extern "C" {
    pub(crate) fn pc_version() -> *const c_char;
    pub(crate) fn pc_words(error: c_int) -> *const c_char;
    pub(crate) fn pc_log_to(sink: Sink) -> c_int;
    pub(crate) fn pc_start(count: c_int, arguments: *mut *mut c_char) -> c_int;
    pub(crate) fn pc_cleanup() -> c_int;
    pub(crate) safe fn pc_thread_register() -> c_int;
    pub(crate) safe fn pc_thread_unregister();
    pub(crate) safe fn pc_lcore() -> u32;
    pub(crate) safe fn pc_numa_node() -> i32;

    pub(crate) fn pc_pool_new(
        name: *const c_char,
        buffers: u32,
        cache: u32,
        room: u16,
        numa_node: c_int,
        made: Made,
        error: *mut c_int,
    ) -> *mut c_void;
    pub(crate) fn pc_pool_free(pool: *mut c_void);
    pub(crate) fn pc_pool_available(pool: *const c_void) -> u32;
    pub(crate) fn pc_buffers_get(pool: *mut c_void, frames: *mut *mut Header, count: u32) -> c_int;
    pub(crate) fn pc_buffers_put(frames: *mut *mut Header, count: u32);

    pub(crate) fn pc_probe(devargs: *const c_char) -> c_int;
    pub(crate) fn pc_look(port: u16, device: *mut DeviceFacts) -> c_int;
    pub(crate) fn pc_configure(port: u16, setup: *const Setup, pool: *mut c_void) -> c_int;
    pub(crate) fn pc_device_start(port: u16) -> c_int;
    pub(crate) fn pc_device_stop(port: u16) -> c_int;
    pub(crate) fn pc_device_close(port: u16) -> c_int;
    pub(crate) fn pc_device_link(port: u16, link: *mut LinkFacts) -> c_int;
    pub(crate) fn pc_device_statistics(port: u16, statistics: *mut Statistics) -> c_int;
    pub(crate) fn pc_device_mac(port: u16, mac: *mut u8) -> c_int;
    pub(crate) fn pc_device_set_mac(port: u16, mac: *const u8) -> c_int;
    pub(crate) fn pc_device_mtu(port: u16) -> c_int;
    pub(crate) fn pc_device_set_mtu(port: u16, mtu: u16) -> c_int;
    pub(crate) fn pc_device_set_promiscuous(port: u16, on: c_int) -> c_int;
    pub(crate) fn pc_device_set_all_multicast(port: u16, on: c_int) -> c_int;
    pub(crate) fn pc_device_set_up(port: u16, up: c_int) -> c_int;
    pub(crate) fn pc_device_is_gone(port: u16) -> c_int;

    pub(crate) fn pc_receive(port: u16, queue: u16, received: *mut Received, most: u16) -> u16;
    pub(crate) fn pc_copy_out(frame: *mut Header, to: *mut u8, length: u32);
    pub(crate) fn pc_transmit(port: u16, queue: u16, sending: *const Sending, count: u16) -> u16;
}

const _: () = {
    assert!(size_of::<Received>() == 24);
    assert!(size_of::<Sending>() == 24);
    assert!(size_of::<DeviceFacts>() == 64);
    assert!(size_of::<Setup>() == 24);
    assert!(size_of::<Frame>() == 64);
};
