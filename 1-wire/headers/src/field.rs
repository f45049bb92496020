//! Fields of fixed-size headers, with their bounds checked when the program is compiled.

/// `LEN` bytes at `AT`.
#[inline(always)]
pub(crate) fn get<const AT: usize, const LEN: usize, const N: usize>(
    header: &[u8; N],
) -> [u8; LEN] {
    const { assert!(AT + LEN <= N, "a field outside its header") };
    let mut value = [0; LEN];
    value.copy_from_slice(&header[AT..AT + LEN]);
    value
}

/// Overwrites `LEN` bytes at `AT`.
#[inline(always)]
pub(crate) fn set<const AT: usize, const LEN: usize, const N: usize>(
    header: &mut [u8; N],
    value: [u8; LEN],
) {
    const { assert!(AT + LEN <= N, "a field outside its header") };
    header[AT..AT + LEN].copy_from_slice(&value);
}

/// The big-endian 16-bit number at `AT`.
#[inline(always)]
pub(crate) fn get_u16<const AT: usize, const N: usize>(header: &[u8; N]) -> u16 {
    u16::from_be_bytes(get::<AT, 2, N>(header))
}

/// The big-endian 32-bit number at `AT`.
#[inline(always)]
pub(crate) fn get_u32<const AT: usize, const N: usize>(header: &[u8; N]) -> u32 {
    u32::from_be_bytes(get::<AT, 4, N>(header))
}

/// Writes a big-endian 16-bit number at `AT`.
#[inline(always)]
pub(crate) fn set_u16<const AT: usize, const N: usize>(header: &mut [u8; N], value: u16) {
    set::<AT, 2, N>(header, value.to_be_bytes());
}

/// Writes a big-endian 32-bit number at `AT`.
#[inline(always)]
pub(crate) fn set_u32<const AT: usize, const N: usize>(header: &mut [u8; N], value: u32) {
    set::<AT, 4, N>(header, value.to_be_bytes());
}
