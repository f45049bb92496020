//! The packet buffer: one pointer to a header that knows where the bytes are.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, fence};

use crate::Meta;

/// Free bytes before the data of a fresh packet: room for a `virtio_net_hdr`, tags, a tunnel header.
/// A multiple of the cache line, so that a received frame begins with one.
pub const HEADROOM: usize = 128;

const ALIGN: usize = 64;

/// Who a buffer's memory belongs to, when it is not the heap's.
#[derive(Debug)]
pub struct Owner {
    /// Gives the memory of packets back that nobody uses any more: called once for each, many at a time where
    /// many end together. What it leaves in the slice is of no use.
    pub release: unsafe fn(&mut [NonNull<Frame>]),
}

/// The header of a packet buffer. Drivers with memory of their own place it there; everybody else
/// sees only [`Packet`].
#[repr(C, align(64))]
pub struct Frame {
    memory: NonNull<u8>,
    origin: PackedOrigin,
    capacity: u32,
    start: u32,
    len: u32,
    meta: Meta,
}

/// Where a buffer's memory came from.
#[derive(Clone, Copy)]
enum Origin {
    /// A block of its own.
    Heap,
    /// A part of a block that many share.
    Slab(NonNull<Slab>),
    /// A driver.
    Foreign(&'static Owner),
}

/// An [`Origin`] in one pointer: none, one to a [`Slab`], or one to an [`Owner`] with its lowest bit set,
/// which the alignment of both leaves free.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct PackedOrigin(Option<NonNull<u8>>);

const FOREIGN: usize = 1;
const _: () = assert!(align_of::<Owner>() > FOREIGN && align_of::<Slab>() > FOREIGN);

impl PackedOrigin {
    const HEAP: Self = Self(None);

    const fn slab(slab: NonNull<Slab>) -> Self {
        Self(Some(slab.cast()))
    }

    const fn foreign(owner: &'static Owner) -> Self {
        let owner = NonNull::from_ref(owner).cast::<u8>();
        // SAFETY: an `Owner` has more than one byte, so the address one further is inside of it.
        Self(Some(unsafe { owner.add(FOREIGN) }))
    }

    #[inline(always)]
    fn unpack(self) -> Origin {
        match self.0 {
            None => Origin::Heap,
            Some(at) if at.addr().get() & FOREIGN != 0 => {
                // SAFETY: only `foreign` sets the bit, by going one byte into an `Owner` that lives for
                // ever and that nobody changes.
                Origin::Foreign(unsafe { at.sub(FOREIGN).cast::<Owner>().as_ref() })
            }
            Some(at) => Origin::Slab(at.cast()),
        }
    }
}

/// The beginning of a block of many buffers. The last of them to go frees it.
#[repr(C, align(64))]
struct Slab {
    layout: Layout,
    live: AtomicUsize,
}

// The fast path reads one cache line of bookkeeping per packet, and no more.
const _: () = assert!(size_of::<Frame>() == ALIGN);

impl Frame {
    /// Where in the header its fields are, for drivers in other languages: the offset of the data from the start of the
    /// memory (`u32`), their length (`u32`), and the [`Meta`].
    pub const LAYOUT: [usize; 3] =
        [offset_of!(Self, start), offset_of!(Self, len), offset_of!(Self, meta)];

    /// A header for memory that belongs to a driver.
    ///
    /// # Safety
    /// `memory` must stay valid for reads and writes of `capacity` initialised bytes until
    /// `owner.release` is called, be used through this header alone, and be good to use and to
    /// release on any thread.
    #[must_use]
    pub const unsafe fn foreign(memory: NonNull<u8>, capacity: u32, owner: &'static Owner) -> Self {
        let origin = PackedOrigin::foreign(owner);
        Self { memory, origin, capacity, start: 0, len: 0, meta: Meta::NEW }
    }
}

/// An owned packet: its bytes and its [`Meta`]. Dropping it gives the memory back to the heap or to
/// its [`Owner`]; on the data path it goes back to a [`Pool`](crate::Pool) instead.
#[repr(transparent)]
pub struct Packet(NonNull<Frame>);

// SAFETY: a `Packet` is the only handle to its header and bytes, and heap memory may be used and
// freed on any thread; `Frame::foreign` asks the same of a driver's memory.
unsafe impl Send for Packet {}
// SAFETY: `&Packet` gives only shared access to plain data.
unsafe impl Sync for Packet {}

impl Packet {
    /// A packet of its own heap block with room for `capacity` bytes behind [`HEADROOM`], all zero.
    ///
    /// # Panics
    /// If `capacity` is over a GiB, or the heap is exhausted: buffers are made at start, not on the
    /// data path.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let room = room_for(capacity);
        let layout = block_layout(room);
        let block = allocate(layout);
        // SAFETY: the block has this layout, and nobody else has it.
        unsafe { Self::carve(block, room, PackedOrigin::HEAP) }
    }

    /// Many packets out of one block: neighbours in memory, which large pages can hold. Otherwise each
    /// is like one of [`Self::with_capacity`], and the block is freed with the last of them.
    ///
    /// # Panics
    /// As [`Self::with_capacity`], or if the block would be larger than memory can be.
    #[must_use]
    pub fn slab(count: usize, capacity: usize) -> Vec<Self> {
        let room = room_for(capacity);
        let one = block_layout(room).pad_to_align().size();
        let size = one.checked_mul(count).and_then(|all| all.checked_add(size_of::<Slab>()));
        let layout = size.and_then(|size| Layout::from_size_align(size, ALIGN).ok());
        let layout = layout.expect("a slab smaller than memory");
        if count == 0 {
            return Vec::new();
        }
        let block = allocate(layout);
        let slab = block.cast::<Slab>();
        // SAFETY: the block begins with room for a `Slab` and is aligned for it.
        unsafe { slab.write(Slab { layout, live: AtomicUsize::new(count) }) };
        // SAFETY: the block goes on with room for `count` buffers of this layout, one after the other.
        let part = |at| unsafe {
            let start = block.add(size_of::<Slab>() + at * one);
            Self::carve(start, room, PackedOrigin::slab(slab))
        };
        (0..count).map(part).collect()
    }

    /// Makes a packet of a piece of memory.
    ///
    /// # Safety
    /// `block` must have the layout that [`block_layout`] says for `room`, be used by this packet alone,
    /// and be what `origin` says it is.
    unsafe fn carve(block: NonNull<u8>, room: usize, origin: PackedOrigin) -> Self {
        // SAFETY: the block has `room` bytes behind the header; they are written here, so that all
        // of them are initialised (and their pages present) before anybody reads them.
        let memory = unsafe {
            let memory = block.add(size_of::<Frame>());
            memory.write_bytes(0, room);
            memory
        };
        let frame = block.cast::<Frame>();
        let (capacity, start) = (room as u32, HEADROOM as u32);
        // SAFETY: the block is large enough and aligned for a `Frame`.
        unsafe { frame.write(Frame { memory, origin, capacity, start, len: 0, meta: Meta::NEW }) };
        Self(frame)
    }

    /// A packet with a copy of `bytes` and no spare room behind them: for tests and slow paths.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut packet = Self::with_capacity(bytes.len());
        let fits = packet.set_len(bytes.len());
        debug_assert!(fits);
        packet.data_mut().copy_from_slice(bytes);
        packet
    }

    /// Takes over a header that a driver prepared.
    ///
    /// # Safety
    /// `frame` must point to a header made by [`Frame::foreign`], and no other `Packet` may own it.
    #[must_use]
    pub const unsafe fn from_foreign(frame: NonNull<Frame>) -> Self {
        Self(frame)
    }

    /// Appends packets whose headers a driver has: `fill` writes up to `most` of them and says how many.
    ///
    /// # Safety
    /// Those that `fill` says it wrote must be headers made by [`Frame::foreign`], whose data are inside of their memory, and no
    /// other `Packet` may own them.
    #[inline]
    pub unsafe fn receive_foreign(
        into: &mut Vec<Self>,
        most: usize,
        fill: impl FnOnce(&mut [MaybeUninit<NonNull<Frame>>]) -> usize,
    ) -> usize {
        into.reserve(most);
        let before = into.len();
        let spare = into.spare_capacity_mut();
        let most = most.min(spare.len());
        // SAFETY: a `Packet` is a pointer to a frame and nothing else (`repr(transparent)`), and there is room for so
        // many.
        let room = unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), most) };
        let count = fill(room).min(most);
        // SAFETY: `fill` has initialised as many, says the caller.
        unsafe { into.set_len(before + count) };
        count
    }

    /// Gives the headers of all packets up to the driver whose `owner` they name, which from now on must release
    /// them itself. `None`, and nothing changed, if the memory of one is not `owner`'s.
    #[inline]
    pub fn give_up<'p>(
        owner: &'static Owner,
        packets: &'p mut Vec<Self>,
    ) -> Option<&'p mut [NonNull<Frame>]> {
        let is_its = packets.iter().all(|packet| packet.is_owned_by(owner));
        is_its.then(|| Self::forget_all(packets))
    }

    /// The headers of packets that are none any more.
    fn forget_all(packets: &mut Vec<Self>) -> &mut [NonNull<Frame>] {
        let count = packets.len();
        // SAFETY: no element is dropped or used as a packet any more.
        unsafe { packets.set_len(0) };
        // SAFETY: the `count` elements are initialised, and nobody uses the vector while the slice is borrowed from it; a
        // `Packet` is a pointer to a frame and nothing else (`repr(transparent)`).
        unsafe { std::slice::from_raw_parts_mut(packets.as_mut_ptr().cast(), count) }
    }

    /// Whose the memory is, if not the heap's.
    #[inline]
    pub(crate) fn owner(&self) -> Option<&'static Owner> {
        match self.frame().origin.unpack() {
            Origin::Foreign(owner) => Some(owner),
            Origin::Heap | Origin::Slab(_) => None,
        }
    }

    /// Gives packets back to their owner at once, and leaves none.
    pub(crate) fn release_all(owner: &'static Owner, packets: &mut Vec<Self>) {
        debug_assert!(packets.iter().all(|packet| packet.is_owned_by(owner)));
        let frames = Self::forget_all(packets);
        // SAFETY: they are this owner's, each was its only handle, and none is left.
        unsafe { (owner.release)(frames) };
    }

    /// The header, for the driver whose it is.
    #[must_use]
    pub const fn as_frame(&self) -> NonNull<Frame> {
        self.0
    }

    /// Whether the memory is this owner's.
    #[must_use]
    pub fn is_owned_by(&self, owner: &'static Owner) -> bool {
        matches!(self.frame().origin.unpack(), Origin::Foreign(own) if std::ptr::eq(own, owner))
    }

    /// Whether the memory is the heap's, so that any pool may keep it.
    #[inline]
    #[must_use]
    pub fn is_heap(&self) -> bool {
        !matches!(self.frame().origin.unpack(), Origin::Foreign(_))
    }

    #[inline(always)]
    fn frame(&self) -> &Frame {
        // SAFETY: the header lives as long as the packet, and `&self` allows no writer.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    fn frame_mut(&mut self) -> &mut Frame {
        // SAFETY: the header lives as long as the packet, and `&mut self` is the only access.
        unsafe { self.0.as_mut() }
    }

    /// The frame's bytes.
    #[inline(always)]
    #[must_use]
    pub fn data(&self) -> &[u8] {
        let f = self.frame();
        // SAFETY: `start + len <= capacity` is kept by every method, the memory is initialised.
        unsafe {
            std::slice::from_raw_parts(f.memory.as_ptr().add(f.start as usize), f.len as usize)
        }
    }

    /// The frame's bytes, to be changed.
    #[inline(always)]
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.parts_mut().1
    }

    /// Metadata and bytes together, both to be changed.
    #[inline(always)]
    pub fn parts_mut(&mut self) -> (&mut Meta, &mut [u8]) {
        let f = self.frame_mut();
        // SAFETY: `start + len <= capacity` is kept by every method, the memory is initialised and
        // does not overlap the header, and `&mut self` is the only access to either.
        let data = unsafe {
            std::slice::from_raw_parts_mut(f.memory.as_ptr().add(f.start as usize), f.len as usize)
        };
        (&mut f.meta, data)
    }

    /// The metadata.
    #[inline(always)]
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.frame().meta
    }

    /// The metadata, to be changed.
    #[inline(always)]
    pub fn meta_mut(&mut self) -> &mut Meta {
        &mut self.frame_mut().meta
    }

    /// Length of the frame in bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        self.frame().len as usize
    }

    /// Whether the frame has no bytes.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes from the start of the data to the end of the buffer: how long the frame may become
    /// by [`Self::set_len`].
    #[inline(always)]
    #[must_use]
    pub fn room(&self) -> usize {
        let f = self.frame();
        (f.capacity - f.start) as usize
    }

    /// Free bytes before the data.
    #[inline(always)]
    #[must_use]
    pub fn headroom(&self) -> usize {
        self.frame().start as usize
    }

    /// Makes the frame `len` bytes long, longer or shorter, at its end. What is uncovered holds
    /// whatever the buffer held. False, and nothing changed, if there is no room.
    #[inline]
    #[must_use]
    pub fn set_len(&mut self, len: usize) -> bool {
        let fits = len <= self.room();
        if fits {
            self.frame_mut().len = len as u32;
        }
        fits
    }

    /// Makes the frame longer by `n` bytes at its front. False, and nothing changed, if there is
    /// no headroom.
    #[inline]
    #[must_use]
    pub fn grow_front(&mut self, n: usize) -> bool {
        let f = self.frame_mut();
        let fits = n <= f.start as usize;
        if fits {
            f.start -= n as u32;
            f.len += n as u32;
        }
        fits
    }

    /// Takes `n` bytes off the frame's front. False, and nothing changed, if it has fewer.
    #[inline]
    #[must_use]
    pub fn shrink_front(&mut self, n: usize) -> bool {
        let f = self.frame_mut();
        let fits = n <= f.len as usize;
        if fits {
            f.start += n as u32;
            f.len -= n as u32;
        }
        fits
    }

    /// Empty again, with the headroom of a fresh packet (or what of it the buffer has) and
    /// metadata that says nothing.
    #[inline]
    pub fn reset(&mut self) {
        let f = self.frame_mut();
        f.start = (HEADROOM as u32).min(f.capacity);
        f.len = 0;
        f.meta = Meta::NEW;
    }

    /// Asks the processor to fetch the header into its cache, to be written.
    #[inline(always)]
    pub fn prefetch_header(&self) {
        prefetch_write(self.0.as_ptr());
    }

    /// Asks the processor to fetch the first bytes of the data, to be written; reads the header for that.
    #[inline(always)]
    pub fn prefetch_data(&self) {
        let f = self.frame();
        prefetch_write(f.memory.as_ptr().wrapping_add(f.start as usize));
    }
}

/// Asks the processor to fetch the cache line at an address into its cache. Any address will do; a
/// reference is one.
#[inline(always)]
pub fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint: it never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// The same for a line that is to be written: what another core has of it is given up at once, not at the first write.
#[inline(always)]
fn prefetch_write<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // The intrinsic becomes a fetch for reading, as x86-64-v3 does not have this instruction.
    // SAFETY: a prefetch is a hint: it never faults, whatever the address, and processors that do not know this one take it
    // for nothing.
    unsafe {
        use std::arch::asm;
        asm!("prefetchw [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

impl Drop for Packet {
    fn drop(&mut self) {
        let frame = self.frame();
        match frame.origin.unpack() {
            // SAFETY: this was the only handle, and it is gone now.
            Origin::Foreign(owner) => unsafe { (owner.release)(&mut [self.0]) },
            Origin::Heap => {
                let layout = block_layout(frame.capacity as usize);
                // SAFETY: a packet of its own block was made by `with_capacity`, with this layout.
                unsafe { dealloc(self.0.as_ptr().cast(), layout) }
            }
            // SAFETY: the slab lives as long as one of its packets does.
            Origin::Slab(slab) => unsafe { leave(slab) },
        }
    }
}

/// Frees the slab if this was its last packet.
///
/// # Safety
/// To be called once for each packet of the slab, when it is used no more.
unsafe fn leave(slab: NonNull<Slab>) {
    // SAFETY: the slab is freed by the last call, which this is not, or is and frees it below.
    let (layout, before) = unsafe {
        let slab = slab.as_ref();
        // What the others did to their packets happens before the block is freed.
        (slab.layout, slab.live.fetch_sub(1, Ordering::Release))
    };
    if before == 1 {
        fence(Ordering::Acquire);
        // SAFETY: it was allocated with this layout, and nobody has a packet of it any more.
        unsafe { dealloc(slab.as_ptr().cast(), layout) }
    }
}

fn room_for(capacity: usize) -> usize {
    assert!(capacity <= 1 << 30, "packet buffer of {capacity} bytes");
    HEADROOM + capacity
}

fn block_layout(room: usize) -> Layout {
    // A GiB and a header are far below `isize::MAX`, and `ALIGN` is a power of two.
    Layout::from_size_align(size_of::<Frame>() + room, ALIGN).expect("a valid layout")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: all layouts here have a size above zero: each holds a `Frame`.
    let block = unsafe { alloc(layout) };
    NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packet").field("meta", self.meta()).field("len", &self.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_packet_is_empty_and_has_the_headroom() {
        let packet = Packet::with_capacity(2048);
        assert!(packet.is_empty());
        assert_eq!((packet.headroom(), packet.room()), (HEADROOM, 2048));
        assert_eq!(packet.data().as_ptr() as usize % ALIGN, 0, "the data begins with a cache line");
    }

    #[test]
    fn growing_and_shrinking_stay_inside_the_buffer() {
        let mut packet = Packet::from_bytes(b"abcdef");
        assert!(!packet.set_len(7), "from_bytes leaves no spare room");
        assert!(packet.shrink_front(2));
        assert_eq!(packet.data(), b"cdef");
        assert!(packet.grow_front(HEADROOM + 2));
        assert!(!packet.grow_front(1));
        assert_eq!(packet.len(), HEADROOM + 6);
        assert!(!packet.shrink_front(packet.len() + 1));
        assert!(packet.shrink_front(packet.len()));
        packet.reset();
        assert_eq!((packet.len(), packet.headroom()), (0, HEADROOM));
    }

    #[test]
    fn packets_of_a_slab_are_apart_and_outlive_each_other() {
        let mut packets = Packet::slab(3, 100);
        for (n, packet) in (0u8..).zip(&mut packets) {
            assert!(packet.is_heap());
            assert!(packet.set_len(100) && !packet.set_len(101));
            packet.data_mut().fill(n);
            assert_eq!(packet.data().as_ptr() as usize % ALIGN, 0);
        }
        let last = packets.pop().expect("three");
        std::thread::spawn(move || drop(packets)).join().expect("no panic");
        assert_eq!(last.data(), [2; 100]);
        drop(last);
        assert!(Packet::slab(0, 100).is_empty());
    }

    static RELEASED: AtomicUsize = AtomicUsize::new(0);
    static DRIVER: Owner = Owner { release: count_release };
    static OTHER: Owner = Owner { release: count_release };

    unsafe fn count_release(frames: &mut [NonNull<Frame>]) {
        RELEASED.fetch_add(frames.len(), Ordering::Relaxed);
        for frame in frames {
            // SAFETY: the test below made the headers with `Box::new`.
            drop(unsafe { Box::from_raw(frame.as_ptr()) });
        }
    }

    #[test]
    fn foreign_memory_goes_back_to_its_owner_and_to_no_other() {
        let mut memory = [0u8; 256];
        let start = NonNull::new(memory.as_mut_ptr()).expect("not null");
        // SAFETY: `memory` outlives both packets, and only one exists at a time.
        let make = || unsafe {
            Packet::from_foreign(NonNull::from(Box::leak(Box::new(Frame::foreign(
                start, 256, &DRIVER,
            )))))
        };
        let mut packet = make();
        assert!(packet.set_len(3));
        packet.data_mut().copy_from_slice(b"xyz");
        assert!(!packet.is_heap());
        let mut packets = vec![make(), packet];
        assert!(Packet::give_up(&OTHER, &mut packets).is_none(), "not OTHER's");
        assert_eq!(packets[1].data(), b"xyz");
        packets.push(Packet::from_bytes(b"heap"));
        assert!(Packet::give_up(&DRIVER, &mut packets).is_none(), "not all DRIVER's");
        packets.truncate(2);
        drop(packets.pop());
        assert_eq!(RELEASED.load(Ordering::Relaxed), 1);
        let frames = Packet::give_up(&DRIVER, &mut packets).expect("DRIVER's own");
        assert_eq!(RELEASED.load(Ordering::Relaxed), 1, "given up, not released");
        // SAFETY: `give_up` gave the headers up; the driver has them and gives them back.
        let again = unsafe {
            let frame = frames[0];
            let mut again = Vec::new();
            Packet::receive_foreign(&mut again, 3, |room| {
                room[0].write(frame);
                1
            });
            again
        };
        assert_eq!(again.len(), 1);
        drop(again);
        assert_eq!((packets.len(), RELEASED.load(Ordering::Relaxed)), (0, 2));
        let mut many = vec![make(), make(), make()];
        Packet::release_all(&DRIVER, &mut many);
        assert_eq!((many.len(), RELEASED.load(Ordering::Relaxed)), (0, 5));
    }
}
