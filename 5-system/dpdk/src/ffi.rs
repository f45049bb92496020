//! What `shim/shim.h` declares; both sides assert the sizes.

use std::ffi::{c_char, c_int, c_void};

use portcullis_packet::{Frame, Meta};

/// A [`Frame`].
pub(crate) type Header = c_void;

/// What came in.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Received {
    pub(crate) bytes: u64,
    /// A bit for each frame that is not one piece of its pool's own memory.
    pub(crate) odd: u64,
}

/// What is to be done to a frame before it leaves: a checksum, and the lengths of its headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C)]
pub(crate) struct Request {
    pub(crate) at: u16,
    pub(crate) flags: u16,
    pub(crate) l2: u16,
    pub(crate) l3: u16,
}

/// What went out.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) frames: u16,
    /// Frames that the device said it can't send as they are.
    pub(crate) refused: u16,
    reserved: u32,
}

pub(crate) const CHECKSUM_TCP4: u16 = 1;
pub(crate) const CHECKSUM_TCP6: u16 = 2;
pub(crate) const CHECKSUM_UDP4: u16 = 3;
pub(crate) const CHECKSUM_UDP6: u16 = 4;

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
pub(crate) const OFFLOAD_RX_IP4: u32 = 2;
pub(crate) const COPIED_BY_CPU: u32 = 4;

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
}

#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Statistics {
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

    pub(crate) fn pc_receive(
        port: u16,
        queue: u16,
        frames: *mut *mut Header,
        most: u16,
        meta: *const c_void,
        checked: *const c_void,
        received: *mut Received,
    ) -> u16;
    pub(crate) fn pc_length(frame: *mut Header) -> u32;
    pub(crate) fn pc_copy_out(frame: *mut Header, to: *mut u8, length: u32);
    pub(crate) fn pc_transmit(
        port: u16,
        queue: u16,
        frames: *mut *mut Header,
        count: u16,
        will_be_filled: u16,
        requests: *const Request,
        request_count: u16,
        sent: *mut Sent,
    );
}

const _: () = {
    assert!(size_of::<Received>() == 16);
    assert!(size_of::<Request>() == 8);
    assert!(size_of::<Sent>() == 16);
    assert!(size_of::<DeviceFacts>() == 64);
    assert!(size_of::<Setup>() == 24);
    assert!(size_of::<Frame>() == 64);
    let [start, length, meta] = Frame::LAYOUT;
    assert!(start == 20 && length == 24 && meta == 28 && size_of::<Meta>() == 36);
};
