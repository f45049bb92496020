//! Memory in huge pages.
//!
//! The tables of a gateway are tens of megabytes, looked up at random: with pages of 4 KiB each
//! lookup would miss the TLB before it misses the cache. [`HugeAlloc`] is the system's allocator,
//! but for what has [`THRESHOLD`] bytes and more: that comes from the kernel, aligned to the pages
//! of 2 MiB that it is asked to use for them (madvise(2), `MADV_HUGEPAGE`).

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, NonNull};

use rustix::mm::{
    Advice, MapFlags, MremapFlags, ProtFlags, madvise, mmap_anonymous, mremap, mremap_fixed, munmap,
};

/// The size of a huge page of x86-64, and of aarch64 with pages of 4 KiB, in bytes.
const HUGE_PAGE: usize = 2 << 20;

/// Sizes are rounded up to this, in bytes: the largest page size of the two machines, so that
/// every length given to the kernel is whole pages.
const GRANULE: usize = 64 << 10;

/// From this size on, in bytes, memory comes in huge pages.
pub const THRESHOLD: usize = 4 << 20;

/// A global allocator that has large allocations in huge pages.
///
/// Zeroed memory is not written to, be it large: pages come from the kernel as they are touched.
#[derive(Clone, Copy, Default, Debug)]
pub struct HugeAlloc;

/// Whether an allocation is ours rather than the system's. It depends on the layout alone, which is
/// the same when the memory is given back.
const fn is_ours(layout: Layout) -> bool {
    layout.size() >= THRESHOLD && layout.align() <= HUGE_PAGE
}

// SAFETY: what is not ours goes to `System` unchanged. What is ours is a private mapping of its
// own: it does not overlap anything, stays until it is given back, is aligned to 2 MiB and at least
// as long as asked for. Whether it is ours follows from the layout, which callers give back as it
// was. No function here unwinds.
unsafe impl GlobalAlloc for HugeAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_ours(layout) {
            return map(layout.size());
        }
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_ours(layout) {
            // Fresh anonymous memory reads as zeroes.
            return map(layout.size());
        }
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if is_ours(layout) {
            // SAFETY: the caller gives back what `map` or `resize` made for this size.
            return unsafe { unmap(memory, mapped(layout.size())) };
        }
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that `size`, rounded up to the alignment, is no more than
        // isize::MAX.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (is_ours(layout), is_ours(wanted)) {
            // SAFETY: both sizes are ours, and `memory` is a mapping of the first.
            (true, true) => unsafe { resize(memory, layout.size(), size) },
            // SAFETY: the caller's promise is handed on; `System` made the memory.
            (false, false) => unsafe { System.realloc(memory, layout, size) },
            // SAFETY: `memory` is an allocation of `layout` by this allocator.
            (true, false) | (false, true) => unsafe { self.change_sides(memory, layout, wanted) },
        }
    }
}

impl HugeAlloc {
    /// Moves an allocation between the system's memory and ours.
    ///
    /// # Safety
    /// `memory` is an allocation of this allocator with layout `from`.
    unsafe fn change_sides(&self, memory: *mut u8, from: Layout, to: Layout) -> *mut u8 {
        // SAFETY: of the two layouts one is large, so neither caller of realloc gave a zero size;
        // the copy is no longer than either, and a new allocation does not overlap an old one.
        unsafe {
            let new = self.alloc(to);
            if !new.is_null() {
                ptr::copy_nonoverlapping(memory, new, from.size().min(to.size()));
                self.dealloc(memory, from);
            }
            new
        }
    }
}

/// The length of the mapping for an allocation of `size` bytes.
const fn mapped(size: usize) -> usize {
    // No overflow: sizes of allocations are at most isize::MAX.
    size.next_multiple_of(GRANULE)
}

/// A new mapping, aligned to huge pages; null if there is no memory.
fn map(size: usize) -> *mut u8 {
    let length = mapped(size);
    reserve(length).map_or(ptr::null_mut(), |start| {
        advise(start.as_ptr(), length);
        start.as_ptr()
    })
}

/// Maps `length` bytes at an address that is a multiple of the huge page.
fn reserve(length: usize) -> Option<NonNull<u8>> {
    let longer = length.checked_add(HUGE_PAGE)?;
    // SAFETY: a new private mapping at an address of the kernel's choice touches nothing that
    // exists.
    let start = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            longer,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    let start = start.ok()?.cast::<u8>();
    // The address is a multiple of the small page, and so are the pieces cut off at both ends.
    let before = start.align_offset(HUGE_PAGE);
    // SAFETY: both pieces are parts of the new mapping, which nobody knows of yet.
    unsafe {
        let aligned = start.add(before);
        if before > 0 {
            unmap(start, before);
        }
        unmap(aligned.add(length), longer - before - length);
        NonNull::new(aligned)
    }
}

/// Gives one of our mappings another size, moving its pages instead of copying them.
///
/// # Safety
/// `memory` is a mapping made for `old` bytes; both sizes are ours.
unsafe fn resize(memory: *mut u8, old: usize, new: usize) -> *mut u8 {
    let (old, new) = (mapped(old), mapped(new));
    if old == new {
        return memory;
    }
    // SAFETY: the mapping is ours, and without MAYMOVE it stays where it is; shrinking cuts pages
    // off that the caller gives up.
    if unsafe { mremap(memory.cast(), old, new, MremapFlags::empty()) }.is_ok() {
        advise(memory, new);
        return memory;
    }
    // No room behind it. The pages move into a reservation, which they replace.
    let Some(place) = reserve(new) else { return ptr::null_mut() };
    // SAFETY: the source is ours; the target is a reservation of the new length that nobody uses.
    let moved = unsafe {
        mremap_fixed(memory.cast(), old, new, MremapFlags::MAYMOVE, place.as_ptr().cast())
    };
    match moved {
        Ok(moved) => {
            advise(moved.cast(), new);
            moved.cast()
        }
        Err(_) => {
            // SAFETY: the reservation is unused; on failure the old mapping is as it was.
            unsafe { unmap(place.as_ptr(), new) };
            ptr::null_mut()
        }
    }
}

/// Asks for huge pages. Where they are switched off, small ones do.
fn advise(start: *mut u8, length: usize) {
    // SAFETY: the range is a mapping of ours, and the advice does not change what is in it.
    let _granted = unsafe { madvise(start.cast(), length, Advice::LinuxHugepage) };
}

/// # Safety
/// The range is whole pages of a mapping of ours that nobody uses any more.
unsafe fn unmap(start: *mut u8, length: usize) {
    // SAFETY: as the caller says. It can fail only when it would split a mapping beyond the limit
    // of mappings; then the memory is lost, which is not unsound.
    let _unmapped = unsafe { munmap(start.cast(), length) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident bytes of the mapping that `memory` is in, and how many of them in huge pages.
    fn resident(memory: *const u8) -> (usize, usize) {
        let address = memory as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let (mut resident, mut huge) = (0, 0);
        for line in maps.lines() {
            if let Some((start, end)) =
                line.split_whitespace().next().and_then(|range| range.split_once('-'))
            {
                let hex = |text| usize::from_str_radix(text, 16).unwrap();
                inside = (hex(start)..hex(end)).contains(&address);
            }
            let kilobytes = |name| {
                let rest = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
                rest.parse::<usize>().ok().map(|number| number << 10)
            };
            if inside {
                resident += kilobytes("Rss:").unwrap_or(0);
                huge += kilobytes("AnonHugePages:").unwrap_or(0);
            }
        }
        (resident, huge)
    }

    /// Neighbouring mappings of one kind are one to `/proc`: two tests at once would see each
    /// other's memory.
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

    fn alone() -> std::sync::MutexGuard<'static, ()> {
        ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_aligned(memory: *const u8) -> bool {
        memory.align_offset(HUGE_PAGE) == 0
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 64).unwrap()
    }

    fn huge_pages_are_to_be_had() -> bool {
        let path = "/sys/kernel/mm/transparent_hugepage/enabled";
        std::fs::read_to_string(path).is_ok_and(|text| !text.contains("[never]"))
    }

    #[test]
    fn large_zeroed_memory_is_aligned_and_takes_none_until_it_is_touched() {
        let _alone = alone();
        let layout = layout(64 << 20);
        // SAFETY: the size is not zero; every access lies within it; it is given back as it was
        // taken.
        unsafe {
            let memory = HugeAlloc.alloc_zeroed(layout);
            assert!(!memory.is_null() && is_aligned(memory));
            assert_eq!(resident(memory), (0, 0));
            assert_eq!(*memory.add(40 << 20), 0);
            memory.add(20 << 20).write(1);
            let (resident, huge) = resident(memory);
            assert!(resident <= 2 * HUGE_PAGE, "{resident}");
            assert!(huge >= HUGE_PAGE || !huge_pages_are_to_be_had(), "{huge}");
            HugeAlloc.dealloc(memory, layout);
        }
    }

    #[test]
    fn memory_keeps_its_contents_through_every_change_of_size() {
        let _alone = alone();
        let sizes = [
            100,
            5 << 20,
            (5 << 20) + 1,
            40 << 20,
            7 << 20,
            THRESHOLD,
            THRESHOLD - 1,
            THRESHOLD + 1,
            17,
        ];
        // SAFETY: each access lies within the size of the moment; each resize gives the layout of
        // the last.
        unsafe {
            let mut size = sizes[0];
            let mut memory = HugeAlloc.alloc(layout(size));
            memory.write_bytes(0x5a, size);
            for next in sizes {
                memory = HugeAlloc.realloc(memory, layout(size), next);
                assert!(!memory.is_null());
                assert!(next < THRESHOLD || is_aligned(memory));
                let kept = std::slice::from_raw_parts(memory, size.min(next));
                assert!(kept.iter().all(|&byte| byte == 0x5a), "{size} -> {next}");
                memory.write_bytes(0x5a, next);
                size = next;
            }
            HugeAlloc.dealloc(memory, layout(size));
        }
    }

    #[test]
    fn a_mapping_that_cannot_grow_in_place_moves() {
        let _alone = alone();
        // SAFETY: as above. The second lies wherever the kernel put it; growing the first to a size
        // that reaches over any neighbour makes at least one of the two move.
        unsafe {
            let (first, second) =
                (HugeAlloc.alloc(layout(8 << 20)), HugeAlloc.alloc(layout(8 << 20)));
            first.write(1);
            second.write(2);
            let first_grown = HugeAlloc.realloc(first, layout(8 << 20), 64 << 20);
            let second_grown = HugeAlloc.realloc(second, layout(8 << 20), 64 << 20);
            assert!(first_grown != first || second_grown != second);
            assert_eq!((*first_grown, *second_grown), (1, 2));
            assert!(is_aligned(first_grown));
            assert!(is_aligned(second_grown));
            HugeAlloc.dealloc(first_grown, layout(64 << 20));
            HugeAlloc.dealloc(second_grown, layout(64 << 20));
        }
    }

    #[test]
    fn memory_that_is_given_back_is_gone() {
        let _alone = alone();
        // SAFETY: the memory is not touched after it was given back.
        unsafe {
            let memory = HugeAlloc.alloc(layout(16 << 20));
            memory.write_bytes(1, 16 << 20);
            assert!(resident(memory).0 >= 16 << 20);
            HugeAlloc.dealloc(memory, layout(16 << 20));
            assert!(resident(memory).0 < 16 << 20);
        }
    }

    #[test]
    fn what_cannot_be_had_is_null() {
        // SAFETY: nothing is accessed.
        unsafe {
            assert!(HugeAlloc.alloc(layout((isize::MAX as usize) / 64 * 64 - 64)).is_null());
        }
    }
}
