//! The owner of a group finds the ends of its band, exact to the document over all workers.
//!
//! A cut that leaves its guard is searched for: members answer with marks, the owner narrows the
//! span by about 30 a round, and fetches the documents once few enough are left.

use crate::select::Summary;
use crate::select::allocator::SHUT;
use crate::select::guard::Guard;
use crate::select::messages::{Counts, Cut, Limit, Question, Reply, Total};
use crate::select::narrow::narrow;
use crate::select::numbers::Numbers;
use crate::select::order::{Amount, Place, Span};
use crate::select::rule::Rule;

/// One end of a group's band.
struct End {
    guard: Guard,
    /// False when items were missed: the guard's contents mean nothing.
    complete: bool,
    /// The cut as the members know it.
    told: Place,
    /// The mass to both sides of the cut that a search fetches.
    margin: i64,
}

struct Group {
    name: u64,
    live: Amount,
    ends: [End; 2],
    /// Its part of a shared budget.
    limit: i64,
    touched: bool,
}

impl Group {
    fn new(name: u64) -> Self {
        let end = || End {
            guard: Guard::empty(),
            complete: true,
            told: Place::MIN,
            margin: 0,
        };
        Group {
            name,
            live: Amount::default(),
            ends: [end(), end()],
            limit: SHUT,
            touched: false,
        }
    }

    /// How many items a guard keeps to each side: a 128th of the group, so that most changes are
    /// only counted, and a moderate number, so that each is found fast.
    fn width(&self, guard: usize) -> usize {
        usize::try_from(self.live.documents / 128)
            .unwrap_or(0)
            .clamp(guard.min(16), guard)
    }

    /// The mass before the band, and the mass before the band's end.
    fn targets(&self, rule: Rule) -> [i64; 2] {
        match rule {
            Rule::Alone(quota) => quota.ends(self.live.mass),
            Rule::Shared(..) => [0, self.limit],
        }
    }

    fn summary(&self, rule: Rule) -> Summary {
        let [low, high] = rule.moving();
        let [first, last] = self.targets(rule);
        let cut = |end: usize| Some(self.ends[end].guard.cut()).filter(|at| *at != Place::MAX);
        let start = if low {
            self.ends[0].guard.below_cut()
        } else {
            Amount::default()
        };
        let end = if high {
            self.ends[1].guard.below_cut()
        } else {
            self.live
        };
        // The ends cross inside a document that is heavier than the band.
        let crossed = low && high && self.ends[1].guard.cut() <= self.ends[0].guard.cut();
        Summary {
            group: self.name,
            live: self.live,
            quota: (last - first).max(0),
            kept: if crossed {
                Amount::default()
            } else {
                end - start
            },
            low: if low { cut(0) } else { None },
            high: if high { cut(1) } else { None },
        }
    }
}

pub(super) struct Owner {
    rule: Rule,
    guard: usize,
    groups: Vec<Group>,
    numbers: Numbers,
    /// Groups that changed in this epoch.
    touched: Vec<usize>,
    questions: Vec<Question>,
    /// By question, by worker.
    replies: Vec<Vec<Reply>>,
    cuts: Vec<Cut>,
}

pub(super) enum Next {
    Ask(Vec<Question>),
    Settled(Vec<Cut>, Vec<Summary>),
}

impl Owner {
    pub(super) fn new(rule: Rule, guard: usize) -> Self {
        Owner {
            rule,
            // A guard of width 0 would not hold the document at the cut.
            guard: guard.max(1),
            groups: Vec::new(),
            numbers: Numbers::default(),
            touched: Vec::new(),
            questions: Vec::new(),
            replies: Vec::new(),
            cuts: Vec::new(),
        }
    }

    fn group(&mut self, name: u64) -> usize {
        let number = self.numbers.of(name);
        if number == self.groups.len() {
            self.groups.push(Group::new(name));
        }
        number
    }

    /// The number of a group that has another cut to find, or may have.
    fn touch(&mut self, name: u64) -> usize {
        let number = self.group(name);
        if !std::mem::replace(&mut self.groups[number].touched, true) {
            self.touched.push(number);
        }
        number
    }

    /// Takes in what one member did in an epoch.
    pub(super) fn count(&mut self, counts: &Counts) {
        for tally in &counts.tallies {
            let number = self.touch(tally.group);
            let group = &mut self.groups[number];
            let sum = group.live.mass.checked_add(tally.live.mass);
            sum.expect("a group's mass fits in 63 bits");
            group.live += tally.live;
            for (end, i) in group.ends.iter_mut().zip(0..) {
                end.guard.shift(tally.below[i]);
                end.complete &= tally.complete[i];
            }
        }
        for item in &counts.items {
            let number = self.group(item.group);
            let end = &mut self.groups[number].ends[usize::from(item.end)];
            if end.complete {
                end.guard.apply(item);
            }
        }
    }

    /// What the touched groups have, now that every member has told its counts.
    pub(super) fn totals(&self) -> Vec<Total> {
        let total = |number: &usize| Total {
            group: self.groups[*number].name,
            live: self.groups[*number].live,
        };
        self.touched.iter().map(total).collect()
    }

    /// Takes in what groups may keep from this epoch on.
    pub(super) fn limit(&mut self, limits: &[Limit]) {
        for limit in limits {
            let number = self.touch(limit.group);
            self.groups[number].limit = limit.mass;
        }
    }

    /// Takes in one member's replies to the open questions.
    pub(super) fn hear(&mut self, replies: Vec<Reply>) {
        for (heard, reply) in self.replies.iter_mut().zip(replies) {
            heard.push(reply);
        }
    }

    /// What to say to all members, now that every one of them has been heard.
    pub(super) fn proceed(&mut self) -> Next {
        let asked = std::mem::take(&mut self.questions);
        let mut open = Vec::new();
        let moving = self.rule.moving();
        if asked.is_empty() {
            // The first step of an epoch: nothing has been searched for yet.
            for i in 0..self.touched.len() {
                for end in (0..2).filter(|end| moving[*end]) {
                    open.extend(self.settle(self.touched[i], end));
                }
            }
        }
        for (question, replies) in asked.into_iter().zip(std::mem::take(&mut self.replies)) {
            open.extend(self.pursue(question, replies));
        }
        if open.is_empty() {
            return Next::Settled(std::mem::take(&mut self.cuts), self.summaries());
        }
        self.questions.clone_from(&open);
        self.replies.resize_with(open.len(), Vec::new);
        Next::Ask(open)
    }

    /// Brings a search one step further; the question that it leaves open.
    fn pursue(&mut self, question: Question, replies: Vec<Reply>) -> Option<Question> {
        let (number, end) = (self.group(question.group), usize::from(question.end));
        let (mut marks, mut below, mut items) = (Vec::new(), Amount::default(), Vec::new());
        for reply in replies {
            match reply {
                Reply::Marks(more) => marks.push(more),
                Reply::Documents(less, more) => {
                    below += less;
                    items.extend(more);
                }
            }
        }
        let group = &mut self.groups[number];
        if question.documents {
            group.ends[end].guard = Guard::new(question.span, below, items);
            return self.settle_fetched(number, end);
        }
        let target = group.targets(self.rule)[end];
        let (span, documents) = narrow(question.span, &marks, target, group.ends[end].margin);
        let few = 2 * group.width(self.guard.max(16)) as i64;
        let documents = documents <= few || span == question.span;
        Some(Question {
            span,
            documents,
            ..question
        })
    }

    /// Moves a cut in its guard; the question that opens a search if it may be outside.
    fn settle(&mut self, number: usize, end: usize) -> Option<Question> {
        if self.groups[number].ends[end].complete && self.found(number, end, false) {
            return None;
        }
        let group = &mut self.groups[number];
        let mean = group.live.mass / group.live.documents.max(1) + 1;
        let width = group.width(self.guard) as i64 / 2;
        let this = &mut group.ends[end];
        this.margin = width.max(1).saturating_mul(mean);
        let span = if this.complete {
            this.guard.outside()
        } else {
            Span::ALL
        };
        this.complete = false;
        Some(Question {
            group: group.name,
            span,
            end: end as u8,
            documents: false,
        })
    }

    /// The same for a guard just fetched: if a document is so heavy that its margin was not enough,
    /// the next one is wider.
    fn settle_fetched(&mut self, number: usize, end: usize) -> Option<Question> {
        if self.found(number, end, true) {
            self.groups[number].ends[end].complete = true;
            return None;
        }
        let group = &mut self.groups[number];
        group.ends[end].margin = group.ends[end].margin.saturating_mul(4);
        Some(Question {
            group: group.name,
            span: Span::ALL,
            end: end as u8,
            documents: false,
        })
    }

    /// Whether the cut is in its guard; what is new about the two will be told to the members.
    fn found(&mut self, number: usize, end: usize, fetched: bool) -> bool {
        let group = &mut self.groups[number];
        let width = group.width(self.guard);
        let target = group.targets(self.rule)[end];
        let this = &mut group.ends[end];
        if !this.guard.settle(end == 1, target) {
            return false;
        }
        let shrunk = this.guard.shrink(width);
        let at = this.guard.cut();
        if shrunk || fetched || at != this.told {
            this.told = at;
            let guard = this.guard.span();
            self.cuts.push(Cut {
                group: group.name,
                end: end as u8,
                at,
                guard,
            });
        }
        true
    }

    fn summaries(&mut self) -> Vec<Summary> {
        let touched = std::mem::take(&mut self.touched);
        let summary = |number: usize| {
            let group = &mut self.groups[number];
            group.touched = false;
            group.summary(self.rule)
        };
        touched.into_iter().map(summary).collect()
    }

    pub(super) fn bytes(&self) -> usize {
        let ends = self.groups.iter().flat_map(|group| &group.ends);
        self.groups.capacity() * size_of::<Group>()
            + ends.map(|end| end.guard.bytes()).sum::<usize>()
            + self.numbers.bytes()
    }
}
