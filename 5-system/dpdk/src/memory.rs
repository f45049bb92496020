//! Pools of packet buffers that devices can reach.

use std::ffi::{CString, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use portcullis_packet::{Frame, Owner, Packet};

use crate::error::Errno;
use crate::ffi;

/// Whose all buffers of DPDK are, whatever pool they are of: each knows its own.
pub(crate) static DPDK: Owner = Owner { release };

unsafe fn release(frames: &mut [NonNull<Frame>]) {
    let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
    // SAFETY: the frames are in mbufs of ours, and nobody else's from now on. The shim uses the slice for its own pointers.
    unsafe { ffi::pc_buffers_put(frames.as_mut_ptr().cast(), count) };
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
#[error(
    "a pool of {buffers} packet buffers of {room} bytes: {errno}; is `memory` in [dpdk] large enough?"
)]
pub struct PoolError {
    buffers: u32,
    room: u16,
    errno: Errno,
}

/// Packet buffers on one NUMA node. It goes when the last one goes who has it; all its buffers must
/// be home by then.
#[derive(Clone, Debug)]
pub struct BufferPool(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    pool: NonNull<c_void>,
    buffers: u32,
    frame: u16,
}

// SAFETY: a pool of DPDK may be used from any thread.
unsafe impl Send for Pool {}
// SAFETY: likewise, from several at once.
unsafe impl Sync for Pool {}

/// Buffers that a registered thread keeps for itself.
const CACHE: u32 = 256;

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl BufferPool {
    /// A pool of so many buffers, for frames of up to `frame` bytes.
    ///
    /// # Errors
    /// If there is no memory for it.
    pub fn new(buffers: u32, frame: u16, numa_node: i32) -> Result<Self, PoolError> {
        // The headroom is DPDK's, which is also ours.
        let room = frame.saturating_add(portcullis_packet::HEADROOM as u16);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let failed = |errno| PoolError { buffers, room, errno };
        let name = CString::new(format!("pc-buffers-{number}"));
        let name = name.map_err(|_| failed(Errno::INVALID))?;
        let cache = CACHE.min(buffers / 4);
        let mut error = 0;
        // SAFETY: the name lives as long as the call, and `made` may be called with any buffer of a pool.
        let pool = unsafe {
            ffi::pc_pool_new(name.as_ptr(), buffers, cache, room, numa_node, made, &mut error)
        };
        let Some(pool) = NonNull::new(pool) else {
            return Err(failed(Errno::check(error).err().unwrap_or(Errno::NO_MEMORY)));
        };
        Ok(Self(Arc::new(Pool { pool, buffers, frame })))
    }

    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.0.pool.as_ptr()
    }

    /// Bytes of the longest frame that a buffer holds.
    pub(crate) fn longest(&self) -> u16 {
        self.0.frame
    }

    /// How many buffers it has in all.
    #[must_use]
    pub fn buffers(&self) -> u32 {
        self.0.buffers
    }

    /// How many are nobody's now. Slow: it looks at the caches of all threads.
    #[must_use]
    pub fn available(&self) -> u32 {
        // SAFETY: the pool lives as long as `self`.
        unsafe { ffi::pc_pool_available(self.as_ptr()) }
    }

    /// Appends up to `count` empty buffers to `into`, all or none.
    pub fn take(&self, count: usize, into: &mut Vec<Packet>) -> bool {
        const MOST: usize = 64;
        let mut frames = [std::ptr::null_mut::<ffi::Header>(); MOST];
        let mut left = count;
        while left > 0 {
            let now = left.min(MOST);
            // SAFETY: there is room for as many as are asked for.
            let answer =
                unsafe { ffi::pc_buffers_get(self.as_ptr(), frames.as_mut_ptr(), now as u32) };
            if answer < 0 {
                into.truncate(into.len() - (count - left));
                return false;
            }
            for frame in frames.iter().take(now).filter_map(|frame| NonNull::new(*frame)) {
                // SAFETY: the frame was made by `made`, and its buffer was nobody's.
                let mut packet = unsafe { Packet::from_foreign(frame.cast()) };
                packet.reset();
                into.push(packet);
            }
            left -= now;
        }
        true
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: the pool is still there.
        let available = unsafe { ffi::pc_pool_available(self.pool.as_ptr()) };
        if available < self.buffers {
            // Somebody may still use them: their memory stays.
            let out = self.buffers - available;
            tracing::error!("{out} of {} packet buffers did not come home", self.buffers);
            return;
        }
        // SAFETY: it was made by `pc_pool_new`, nobody has it any more, and all its buffers are home.
        unsafe { ffi::pc_pool_free(self.pool.as_ptr()) };
    }
}

/// Writes the header of a new buffer. Called by the shim, once for each of a pool.
unsafe extern "C" fn made(frame: *mut ffi::Header, memory: *mut u8, capacity: u32) {
    let Some(memory) = NonNull::new(memory) else { return };
    // SAFETY: the shim names the whole of the buffer's own memory, which nobody uses yet; it is made initialised here, as a
    // frame's must be.
    let header = unsafe {
        memory.write_bytes(0, capacity as usize);
        Frame::foreign(memory, capacity, &DPDK)
    };
    // SAFETY: the private area is as large and aligned as a frame (asserted in the shim), and in use by nobody.
    unsafe { frame.cast::<Frame>().write(header) };
}
