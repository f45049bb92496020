//! Which member of a next-hop group owns which bucket.
//!
//! A group's flows are spread over a fixed number of buckets by their hash, and each bucket belongs
//! to a member: as many to each as its weight is worth. When the members change, as few buckets as
//! possible change hands, so that flows stay where they are (resilient hashing, as the kernel's
//! `nexthop group type resilient` does it).

use portcullis_packet::NextHopId;

/// A member of a group, and its share in relation to the others'. A weight of 0 gets nothing.
pub type Member = (NextHopId, u32);

/// The most buckets a group gets.
pub const MAX_BUCKETS: usize = 4096;

/// How many buckets a group needs for shares that are right within about an eighth for its members
/// of least weight: 16 buckets to each member, or as many more as uneven weights ask for, but never
/// fewer than 128 or more than [`MAX_BUCKETS`]. A power of two.
#[must_use]
pub fn bucket_count(members: &[Member]) -> usize {
    let weights = members.iter().map(|(_, weight)| u64::from(*weight)).filter(|weight| *weight > 0);
    let total: u64 = weights.clone().sum();
    let least = weights.min().unwrap_or(1);
    let wanted = (total.div_ceil(least)).saturating_mul(16).min(MAX_BUCKETS as u64) as usize;
    wanted.next_power_of_two().clamp(128, MAX_BUCKETS)
}

/// Gives `buckets` buckets to the members.
///
/// Each gets its share, rounded up or down; which of them are rounded up depends on the fractions,
/// then on who has more buckets already, then on the order of ids. `previous` is the outcome of the
/// last call, or empty. A bucket stays with its owner unless the owner left or has more than its
/// share. The same input always gives the same outcome. Without members of any weight, or without
/// buckets, nothing is assigned.
#[must_use]
pub fn assign(previous: &[NextHopId], members: &[Member], buckets: usize) -> Vec<NextHopId> {
    let mut quotas = quotas(previous, members, buckets);
    if quotas.is_empty() {
        return Vec::new();
    }
    let mut assigned = vec![NextHopId::NO_ROUTE; buckets];
    for (bucket, owner) in assigned.iter_mut().zip(previous) {
        if let Ok(at) = quotas.binary_search_by_key(owner, |(member, _)| *member)
            && let Some(left) = quotas[at].1.checked_sub(1)
        {
            *bucket = *owner;
            quotas[at].1 = left;
        }
    }
    // The rest goes round among those who are short of their share, so that neighbouring buckets
    // have different owners.
    let mut turn = 0;
    for bucket in assigned.iter_mut().filter(|bucket| **bucket == NextHopId::NO_ROUTE) {
        let short = (turn..quotas.len()).chain(0..turn).find(|at| quotas[*at].1 > 0);
        let Some(at) = short else { break };
        *bucket = quotas[at].0;
        quotas[at].1 -= 1;
        turn = (at + 1) % quotas.len();
    }
    assigned
}

/// How many buckets each member gets, in the order of ids. The sum is `buckets`.
fn quotas(previous: &[NextHopId], members: &[Member], buckets: usize) -> Vec<(NextHopId, usize)> {
    let mut members: Vec<(NextHopId, u64)> = members
        .iter()
        .filter(|(_, weight)| *weight > 0)
        .map(|(member, weight)| (*member, u64::from(*weight)))
        .collect();
    members.sort_unstable();
    members.dedup_by(|(member, weight), (into, sum)| {
        let same = member == into;
        if same {
            *sum += *weight;
        }
        same
    });
    let total: u128 = members.iter().map(|(_, weight)| u128::from(*weight)).sum();
    if total == 0 || buckets == 0 {
        return Vec::new();
    }
    let share = |weight: u64| u128::from(weight) * buckets as u128;
    let mut quotas: Vec<(NextHopId, usize)> = members
        .iter()
        .map(|(member, weight)| (*member, (share(*weight) / total) as usize))
        .collect();
    let left = buckets - quotas.iter().map(|(_, quota)| quota).sum::<usize>();
    let mut by_claim: Vec<usize> = (0..members.len()).collect();
    by_claim.sort_by_key(|at| {
        let (member, weight) = members[*at];
        let held = previous.iter().filter(|owner| **owner == member).count();
        std::cmp::Reverse((share(weight) % total, held, std::cmp::Reverse(member)))
    });
    for at in by_claim.into_iter().take(left) {
        quotas[at].1 += 1;
    }
    quotas
}
