//! Divides one budget over all groups: one worker knows every group's mass and weight, and no
//! document.
//!
//! An epoch brings it the totals of the groups that changed, and it answers with the limits that
//! changed. The division itself looks at all groups that have a weight, a few operations each.

use crate::select::fill::{Claim, Level};
use crate::select::messages::{Limit, Total};
use crate::select::mixture::{Budget, Shares, Weights};
use crate::select::numbers::Numbers;
use crate::select::order::Amount;

/// The limit of a group that keeps nothing, not even documents of no mass, as all do at first.
pub(super) const SHUT: i64 = -1;

struct Group {
    name: u64,
    live: Amount,
    weight: u64,
    /// The limit that its owner knows.
    told: i64,
}

impl Group {
    /// What it asks of the budget; nothing without a weight, or without documents.
    fn claim(&self, shares: Shares) -> Option<Claim> {
        let weight = match shares {
            Shares::Weighted => self.weight,
            Shares::Equal => 1,
        };
        (weight > 0 && self.live.documents > 0).then_some(Claim {
            mass: self.live.mass,
            weight,
        })
    }
}

pub(super) struct Allocator {
    budget: Budget,
    shares: Shares,
    groups: Vec<Group>,
    numbers: Numbers,
    /// The mass of all groups, with and without weight.
    mass: i128,
    /// Whether anything has changed since the last division.
    changed: bool,
    claims: Vec<Claim>,
}

impl Allocator {
    pub(super) fn new(budget: Budget, shares: Shares) -> Self {
        Allocator {
            budget,
            shares,
            groups: Vec::new(),
            numbers: Numbers::default(),
            mass: 0,
            changed: false,
            claims: Vec::new(),
        }
    }

    fn group(&mut self, name: u64) -> &mut Group {
        let number = self.numbers.of(name);
        if number == self.groups.len() {
            self.groups.push(Group {
                name,
                live: Amount::default(),
                weight: 0,
                told: SHUT,
            });
        }
        &mut self.groups[number]
    }

    /// Takes in the weights from this epoch on, in place of those before.
    pub(super) fn weigh(&mut self, weights: &Weights) {
        self.groups.iter_mut().for_each(|group| group.weight = 0);
        for &(name, weight) in weights.groups() {
            self.group(name).weight = weight;
        }
        self.changed = true;
    }

    /// Takes in what one owner's groups have now.
    pub(super) fn count(&mut self, totals: &[Total]) {
        for total in totals {
            let group = self.group(total.group);
            let before = std::mem::replace(&mut group.live, total.live);
            self.mass += i128::from(total.live.mass) - i128::from(before.mass);
        }
        self.changed |= !totals.is_empty();
    }

    /// The limits that are other than told before, now that every owner has been heard.
    pub(super) fn limits(&mut self) -> Vec<Limit> {
        if !std::mem::take(&mut self.changed) {
            return Vec::new();
        }
        let mass = i64::try_from(self.mass).expect("the mass of all groups fits in 63 bits");
        let shares = self.shares;
        let mut claims = std::mem::take(&mut self.claims);
        claims.extend(self.groups.iter().filter_map(|group| group.claim(shares)));
        let level = Level::of(self.budget.of(mass), &mut claims);
        claims.clear();
        self.claims = claims;
        let limit = |group: &mut Group| {
            let claim = group.claim(shares);
            let mass = claim.map_or(SHUT, |claim| level.part(claim));
            let before = std::mem::replace(&mut group.told, mass);
            (mass != before).then_some(Limit {
                group: group.name,
                mass,
            })
        };
        self.groups.iter_mut().filter_map(limit).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Group>()
            + self.numbers.bytes()
            + self.claims.capacity() * size_of::<Claim>()
    }
}
