//! A value that both ends of an interface should have.

use crate::request::Side;

/// A value that both ends should have.
#[derive(Debug)]
pub(super) struct Follow<T> {
    /// To be set on both ends before they follow each other.
    pub(super) wanted: Option<T>,
    /// What both had last.
    agreed: Option<T>,
    /// The device refused what the tap has.
    revert: bool,
    /// The tap refused what the device has: (device, tap).
    hopeless: Option<(T, T)>,
}

impl<T: Copy + PartialEq> Follow<T> {
    pub(super) const fn new(wanted: Option<T>) -> Self {
        Self { wanted, agreed: None, revert: false, hopeless: None }
    }

    /// Another value is to be set on both ends; with `None` they keep what they have.
    pub(super) fn want(&mut self, wanted: Option<T>) {
        self.wanted = wanted;
        self.hopeless = None;
    }

    /// What is to be set, and where.
    pub(super) fn step(&mut self, device: T, tap: T) -> Option<(Side, T)> {
        if let Some(wanted) = self.wanted {
            if device != wanted {
                return Some((Side::Device, wanted));
            }
            if tap != wanted {
                return Some((Side::Tap, wanted));
            }
            self.wanted = None;
        }
        if device == tap {
            *self = Self { agreed: Some(tap), ..Self::new(None) };
            return None;
        }
        if self.hopeless == Some((device, tap)) {
            return None;
        }
        self.hopeless = None;
        let device_changed = self.agreed != Some(device);
        if device_changed || self.revert {
            Some((Side::Tap, device))
        } else {
            Some((Side::Device, tap))
        }
    }

    /// An end would not have it.
    pub(super) fn refused(&mut self, side: Side, device: T, tap: T) {
        self.wanted = None;
        match side {
            Side::Device => self.revert = true,
            Side::Tap => self.hopeless = Some((device, tap)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends, and what becomes of them when they do what they are told.
    struct Ends {
        follow: Follow<u32>,
        device: u32,
        tap: u32,
    }

    impl Ends {
        fn new(wanted: Option<u32>, device: u32, tap: u32) -> Self {
            let mut ends = Self { follow: Follow::new(wanted), device, tap };
            ends.settle(|_, _| true);
            ends
        }

        fn settle(&mut self, accepts: impl Fn(Side, u32) -> bool) {
            for _ in 0..10 {
                let Some((side, value)) = self.follow.step(self.device, self.tap) else { return };
                match (accepts(side, value), side) {
                    (true, Side::Device) => self.device = value,
                    (true, Side::Tap) => self.tap = value,
                    (false, side) => self.follow.refused(side, self.device, self.tap),
                }
            }
            panic!("they chase each other");
        }

        fn both(&self) -> (u32, u32) {
            (self.device, self.tap)
        }
    }

    #[test]
    fn both_ends_get_what_is_configured_or_else_what_the_device_has() {
        assert_eq!(Ends::new(Some(9000), 1500, 1400).both(), (9000, 9000));
        assert_eq!(Ends::new(None, 1500, 1400).both(), (1500, 1500));
    }

    #[test]
    fn each_end_follows_the_other() {
        let mut ends = Ends::new(None, 1500, 1500);
        ends.tap = 1400;
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1400, 1400));
        ends.device = 1300;
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1300, 1300));
    }

    #[test]
    fn another_configuration_is_set_on_both_ends_and_one_without_a_value_changes_nothing() {
        let mut ends = Ends::new(Some(9000), 1500, 1500);
        ends.follow.want(Some(1400));
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1400, 1400));
        ends.follow.want(Some(9000));
        ends.settle(|side, _| side == Side::Tap);
        assert_eq!(ends.both(), (1400, 1400), "the device refuses");
        ends.follow.want(None);
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1400, 1400));
    }

    #[test]
    fn if_both_have_changed_the_device_wins() {
        let mut ends = Ends::new(None, 1500, 1500);
        (ends.device, ends.tap) = (1300, 1400);
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1300, 1300));
    }

    #[test]
    fn what_the_device_refuses_is_taken_back() {
        let mut ends = Ends::new(None, 1500, 1500);
        ends.tap = 9000;
        ends.settle(|side, _| side == Side::Tap);
        assert_eq!(ends.both(), (1500, 1500));
        let mut ends = Ends { follow: Follow::new(Some(9000)), device: 1500, tap: 1400 };
        ends.settle(|side, _| side == Side::Tap);
        assert_eq!(ends.both(), (1500, 1500), "a configuration that is not possible");
    }

    #[test]
    fn what_the_tap_refuses_is_tried_once() {
        let mut ends = Ends::new(None, 1500, 1500);
        ends.device = 9000;
        ends.settle(|side, _| side == Side::Device);
        assert_eq!(ends.both(), (9000, 1500));
        assert_eq!(ends.follow.step(9000, 1500), None);
        ends.device = 1400;
        ends.settle(|_, _| true);
        assert_eq!(ends.both(), (1400, 1400));
    }
}
