//! What goes wrong, at random.

use std::time::Duration;

use crate::broker::Broker;
use crate::crew::{Crew, Role};
use crate::dice::Dice;
use crate::process::{Doom, signal_to};

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9.
    Kill(Role),
    /// SIGTERM.
    Terminate(Role),
    /// SIGSTOP, and SIGCONT a while later.
    Pause(Role),
    /// Another curate, elsewhere, takes over while the first stands still, and then wakes up.
    Twin,
    /// kill -9 of a member of the cluster that curates.
    KillMember,
    /// Scorers come and go.
    Storm,
    /// kill -9 of the broker, and its restart, with more going wrong meanwhile.
    KillBroker,
    /// The broker stands still for a while.
    PauseBroker,
}

/// The faults that there are with so many scorers and with a curate of so many processes.
pub fn possible(scorers: usize, members: usize) -> Vec<Fault> {
    let roles = [Role::Score, Role::Score, Role::Curate, Role::Curate];
    let kills = roles.map(Fault::Kill);
    let mut faults = [kills, roles.map(Fault::Terminate)].concat();
    faults.extend([Fault::Pause(Role::Score), Fault::Pause(Role::Curate)]);
    faults.extend([Fault::Twin, Fault::KillBroker, Fault::PauseBroker]);
    if members > 1 {
        faults.extend([Fault::KillMember; 2]);
    }
    if scorers > 1 {
        faults.extend([Fault::Storm; 2]);
    }
    faults
}

impl Fault {
    /// Makes it happen; on return it is over.
    pub fn happen(self, crew: &mut Crew<'_>, broker: &Broker, dice: &mut Dice) {
        match self {
            Fault::Kill(role) => kill(crew, role, dice),
            Fault::Terminate(role) => terminate(crew, role, dice),
            Fault::Pause(role) => pause(crew, role, dice),
            Fault::Twin => twin(crew, dice),
            Fault::KillMember => kill_member(crew, dice),
            Fault::Storm => storm(crew, dice),
            Fault::KillBroker => kill_broker(crew, broker, dice),
            Fault::PauseBroker => {
                broker.pause();
                crew.wait(dice.between_ms(200, 4_000));
                broker.go_on();
                crew.count("broker paused");
            }
        }
    }
}

fn kill(crew: &mut Crew<'_>, role: Role, dice: &mut Dice) {
    let post = dice.choose(&crew.posts(role));
    crew.at(post).doom = Some(Doom::Killed);
    crew.at(post).signal("KILL");
    crew.count(match role {
        Role::Score => "score killed",
        Role::Curate => "curate killed",
    });
}

fn terminate(crew: &mut Crew<'_>, role: Role, dice: &mut Dice) {
    let post = dice.choose(&crew.posts(role));
    // Before it is set up to end well, the signal kills it as it does any program.
    crew.wait(Duration::from_secs(1));
    let process = crew.at(post);
    if process.doom.is_none() && process.started.elapsed() > Duration::from_secs(1) {
        process.doom = Some(Doom::Terminated);
        process.signal("TERM");
        crew.count(match role {
            Role::Score => "score terminated",
            Role::Curate => "curate terminated",
        });
    }
}

fn pause(crew: &mut Crew<'_>, role: Role, dice: &mut Dice) {
    let post = dice.choose(&crew.posts(role));
    crew.at(post).signal("STOP");
    crew.wait(dice.between_ms(100, 5_000));
    crew.at(post).signal("CONT");
    crew.count(match role {
        Role::Score => "score paused",
        Role::Curate => "curate paused",
    });
}

fn twin(crew: &mut Crew<'_>, dice: &mut Dice) {
    let post = dice.choose(&crew.posts(Role::Curate));
    if crew.at(post).doom.is_some() {
        return;
    }
    let other = crew.start_elsewhere(Role::Curate);
    let mut first = crew.relieve(post, other);
    let all: Vec<u32> = [vec![first.id()], first.children()].concat();
    all.iter().for_each(|id| signal_to(*id, "STOP"));
    crew.wait(dice.between_ms(2_000, 5_000));
    all.iter().for_each(|id| signal_to(*id, "CONT"));
    crew.wait(dice.between_ms(1_000, 5_000));
    // One that is supervised tries again, and takes over from the other, but only once.
    first.doom = Some(Doom::Fenced);
    match first.ended() {
        Some(status) => assert!(first.ended_well(status), "{status}: {}", first.last_words()),
        None => first.signal("KILL"),
    }
    crew.count("curate twice at once");
}

fn kill_member(crew: &mut Crew<'_>, dice: &mut Dice) {
    let post = dice.choose(&crew.posts(Role::Curate));
    let members = crew.at(post).children();
    if !members.is_empty() {
        signal_to(dice.choose(&members), "KILL");
        if crew.at(post).doom == Some(Doom::Terminated) {
            crew.at(post).doom = Some(Doom::Bereft);
        }
        crew.count("cluster member killed");
    }
}

/// Scorers join the others and leave them, each after a second or so, by either signal.
fn storm(crew: &mut Crew<'_>, dice: &mut Dice) {
    let mut guests = Vec::new();
    for _ in 0..dice.below(5) + 4 {
        guests.push(crew.start(Role::Score));
        crew.wait(dice.between_ms(300, 1_500));
        if dice.one_in(2) {
            let mut guest = guests.swap_remove(dice.below(guests.len() as u64) as usize);
            guest.doom = Some(Doom::Killed);
            guest.signal("KILL");
            guest.end_within(Duration::from_secs(10));
            crew.count("guest scorer killed");
        }
    }
    for mut guest in guests {
        guest.doom = Some(Doom::Terminated);
        guest.signal("TERM");
        guest.end_within(Duration::from_secs(60));
        crew.count("guest scorer terminated");
    }
    crew.count("rebalance storm");
}

fn kill_broker(crew: &mut Crew<'_>, broker: &Broker, dice: &mut Dice) {
    broker.kill();
    crew.wait(dice.between_ms(0, 3_000));
    if dice.one_in(2) {
        kill(crew, dice.choose(&[Role::Score, Role::Curate]), dice);
        crew.wait(dice.between_ms(0, 1_000));
    }
    broker.resume();
    crew.count("broker killed");
}
