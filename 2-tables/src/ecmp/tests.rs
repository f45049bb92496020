use proptest::prelude::*;

use super::*;

fn owned(buckets: &[NextHopId], member: NextHopId) -> usize {
    buckets.iter().filter(|owner| **owner == member).count()
}

fn moved(before: &[NextHopId], after: &[NextHopId]) -> Vec<(NextHopId, NextHopId)> {
    before.iter().copied().zip(after.iter().copied()).filter(|(from, to)| from != to).collect()
}

fn equal(ids: impl IntoIterator<Item = u32>) -> Vec<Member> {
    ids.into_iter().map(|id| (NextHopId(id), 1)).collect()
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![Just(0), 1u32..4, 1u32..256, any::<u32>()];
    prop::collection::btree_map((1u32..40).prop_map(NextHopId), weight, 0..20)
        .prop_map(|members| members.into_iter().collect())
}

fn buckets() -> impl Strategy<Value = usize> {
    (0u32..11).prop_map(|bits| 1 << bits)
}

proptest! {
    #[test]
    fn every_share_is_right_within_a_bucket_whatever_was_before(
        before in members(), now in members(), buckets in buckets(),
    ) {
        let previous = assign(&[], &before, buckets);
        let assigned = assign(&previous, &now, buckets);
        let total: u128 = now.iter().map(|(_, weight)| u128::from(*weight)).sum();
        prop_assert_eq!(assigned.len(), if total == 0 { 0 } else { buckets });
        for (member, weight) in &now {
            let has = owned(&assigned, *member) as u128 * total;
            let due = u128::from(*weight) * buckets as u128;
            prop_assert!(has.abs_diff(due) < total.max(1), "{member:?}: {has} for {due}");
        }
    }

    #[test]
    fn no_more_buckets_move_than_the_shares_demand(
        before in members(), now in members(), buckets in buckets(),
    ) {
        let previous = assign(&[], &before, buckets);
        let assigned = assign(&previous, &now, buckets);
        prop_assume!(!assigned.is_empty() && !previous.is_empty());
        let total: u128 = now.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let (mut kept, mut given, mut would_keep_one_more) = (0, 0, 0);
        for (member, weight) in &now {
            let least = (u128::from(*weight) * buckets as u128 / total) as usize;
            let exact = (u128::from(*weight) * buckets as u128).is_multiple_of(total);
            let held = owned(&previous, *member);
            given += least;
            kept += held.min(least);
            would_keep_one_more += usize::from(held > least && !exact);
        }
        let most_kept = kept + would_keep_one_more.min(buckets - given);
        prop_assert_eq!(moved(&previous, &assigned).len(), buckets - most_kept);
    }

    #[test]
    fn nothing_moves_when_nothing_changes_and_the_order_of_members_is_no_matter(
        members in members(), buckets in buckets(),
    ) {
        let assigned = assign(&[], &members, buckets);
        let turned: Vec<Member> = members.iter().rev().copied().collect();
        prop_assert_eq!(&assign(&assigned, &turned, buckets), &assigned);
        prop_assert_eq!(&assign(&[], &turned, buckets), &assigned);
    }

    #[test]
    fn of_equal_members_one_that_leaves_gives_its_buckets_and_one_that_joins_takes_its_share(
        count in 2u32..32, who in any::<prop::sample::Index>(),
    ) {
        let who = NextHopId(who.index(count as usize) as u32 + 1);
        let with = equal(1..=count);
        let without: Vec<Member> =
            with.iter().copied().filter(|(member, _)| *member != who).collect();
        let full = assign(&[], &with, 512);
        let after = assign(&full, &without, 512);
        for (from, _) in moved(&full, &after) {
            prop_assert_eq!(from, who);
        }
        let back = assign(&after, &with, 512);
        let taken = moved(&after, &back);
        prop_assert_eq!(taken.len(), owned(&back, who));
        for (_, to) in taken {
            prop_assert_eq!(to, who);
        }
    }

    #[test]
    fn the_buckets_of_a_group_serve_its_least_member_within_a_sixteenth(
        members in prop::collection::vec((1u32..100).prop_map(NextHopId).prop_flat_map(
            |member| (Just(member), 1u32..=16)), 1..16),
    ) {
        let buckets = bucket_count(&members);
        prop_assert!(buckets.is_power_of_two() && buckets >= 128);
        let total: u32 = members.iter().map(|(_, weight)| weight).sum();
        let least = members.iter().map(|(_, weight)| *weight).min().unwrap_or(0);
        prop_assert!(buckets == MAX_BUCKETS || least as usize * buckets >= 16 * total as usize);
    }
}

#[test]
fn neighbouring_buckets_have_different_owners() {
    let assigned = assign(&[], &equal(1..=4), 128);
    assert!(assigned.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_member_named_twice_has_both_weights() {
    let twice = [(NextHopId(1), 1), (NextHopId(2), 2), (NextHopId(1), 1)];
    assert_eq!(owned(&assign(&[], &twice, 128), NextHopId(1)), 64);
}

#[test]
fn the_number_of_buckets_has_a_floor_and_a_ceiling() {
    assert_eq!(bucket_count(&[]), 128);
    assert_eq!(bucket_count(&equal(1..=8)), 128);
    assert_eq!(bucket_count(&equal(1..=9)), 256);
    assert_eq!(bucket_count(&[(NextHopId(1), 1), (NextHopId(2), u32::MAX)]), MAX_BUCKETS);
}
