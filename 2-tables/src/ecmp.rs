//! Which member of a next-hop group owns which bucket.
//!
//! A group's flows are spread over a fixed number of buckets by their hash, and each bucket belongs
//! to a member: as many to each as its weight is worth. When the members change, as few buckets as
//! possible change hands, so that flows stay where they are (resilient hashing, as the kernel's
//! `nexthop group type resilient` does it).

use std::cmp::Reverse;

use portcullis_packet::NextHopId;

/// A member of a group, and its share in relation to the others'. A weight of 0 gets nothing.
pub type Member = (NextHopId, u32);

/// The most buckets a group gets.
pub const MAX_BUCKETS: usize = 4096;

/// How many buckets a group needs: 16 to the member of least weight, so that rounding to whole
/// buckets costs no member more than a sixteenth of its share. A power of two; never fewer than 128,
/// and never more than [`MAX_BUCKETS`], above which uneven weights are served less precisely.
#[must_use]
pub fn bucket_count(members: &[Member]) -> usize {
    let weights = members.iter().map(|(_, weight)| u64::from(*weight)).filter(|weight| *weight > 0);
    let total: u64 = weights.clone().sum();
    let least = weights.min().unwrap_or(1);
    let wanted = total.div_ceil(least).saturating_mul(16).min(MAX_BUCKETS as u64) as usize;
    wanted.next_power_of_two().clamp(128, MAX_BUCKETS)
}

/// Gives `buckets` buckets to the members, as many to each as its weight is worth, rounded up or
/// down.
///
/// `previous` is the outcome of the last call, or empty. As many buckets as the shares allow stay
/// with their owner: when a member leaves its buckets go to the others, when one joins it takes its
/// share from them, and nothing else moves. The same input always gives the same outcome. A member
/// named twice has both weights. Members of no weight get nothing, and those worth less than a
/// bucket may get nothing. Without members of any weight, or without buckets, nothing is assigned.
#[must_use]
pub fn assign(previous: &[NextHopId], members: &[Member], buckets: usize) -> Vec<NextHopId> {
    let mut shares = shares(previous, members, buckets);
    if shares.is_empty() {
        return Vec::new();
    }
    let mut assigned = vec![NextHopId::NO_ROUTE; buckets];
    for (bucket, owner) in assigned.iter_mut().zip(previous) {
        if let Some(share) = find(&mut shares, *owner)
            && share.quota > 0
        {
            share.quota -= 1;
            *bucket = *owner;
        }
    }
    // The rest goes round among those who are short of their share, so that neighbouring buckets
    // have different owners.
    let mut turn = 0;
    for bucket in assigned.iter_mut().filter(|bucket| **bucket == NextHopId::NO_ROUTE) {
        let mut order = (turn..shares.len()).chain(0..turn);
        let Some(next) = order.find(|at| shares[*at].quota > 0) else { break };
        shares[next].quota -= 1;
        *bucket = shares[next].member;
        turn = next + 1;
    }
    assigned
}

/// What a member is to get.
struct Share {
    member: NextHopId,
    weight: u64,
    /// Buckets it has already.
    held: usize,
    /// Buckets it is to have.
    quota: usize,
    /// What rounding down left out, in units that are the same for all members.
    fraction: u128,
}

fn find(shares: &mut [Share], member: NextHopId) -> Option<&mut Share> {
    let at = shares.binary_search_by_key(&member, |share| share.member).ok()?;
    shares.get_mut(at)
}

/// What each member is to get, in the order of ids; the sum of all quotas is `buckets`.
fn shares(previous: &[NextHopId], members: &[Member], buckets: usize) -> Vec<Share> {
    let mut members: Vec<Member> =
        members.iter().copied().filter(|(_, weight)| *weight > 0).collect();
    members.sort_unstable();
    let total: u128 = members.iter().map(|(_, weight)| u128::from(*weight)).sum();
    if total == 0 || buckets == 0 {
        return Vec::new();
    }
    let mut shares: Vec<Share> = Vec::with_capacity(members.len());
    for (member, weight) in members {
        let weight = u64::from(weight);
        match shares.last_mut().filter(|share| share.member == member) {
            Some(share) => share.weight += weight,
            None => shares.push(Share { member, weight, held: 0, quota: 0, fraction: 0 }),
        }
    }
    for owner in previous.iter().take(buckets) {
        if let Some(share) = find(&mut shares, *owner) {
            share.held += 1;
        }
    }
    for share in &mut shares {
        let exact = u128::from(share.weight) * buckets as u128;
        share.quota = (exact / total) as usize;
        share.fraction = exact % total;
    }
    let left = buckets - shares.iter().map(|share| share.quota).sum::<usize>();
    // Rounded up are first those who then need not give a bucket away, then the largest fractions.
    let mut claims: Vec<&mut Share> =
        shares.iter_mut().filter(|share| share.fraction > 0).collect();
    claims.sort_by_key(|share| Reverse((share.held > share.quota, share.fraction)));
    for share in claims.into_iter().take(left) {
        share.quota += 1;
    }
    shares
}

#[cfg(test)]
mod tests;
