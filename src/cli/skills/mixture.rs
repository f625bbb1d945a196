//! `riffle skills mixture`: the mixture that follows from a graph and reported losses.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use mixtures::{Applied, LiveMixture, Mark, Method, MixtureRule, Report, Setting, SkillIt, WHOLE};
use serde_json::json;

use super::super::args::Global;
use super::super::failure::Failure;
use super::{about, graph_in, text};

const EXAMPLES: &str = "\
Examples:
    riffle skills mixture --graph graph.csv                          before the first evaluation
    riffle skills mixture --graph graph.csv --losses losses.jsonl --eta 0.2 --window 1
    riffle skills mixture --graph graph.json --setting fine-tuning --method stratified

A line of losses is {\"run\": \"r1\", \"round\": 3, \"skill\": \"name\", \"loss\": 1.25}; the run may be left
out, \"step\" may stand in place of \"round\", and a loss of null takes an earlier line back.";

/// Which graph, losses and settings.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct MixtureArgs {
    /// The skills graph, as JSON or comma-separated values
    #[arg(long, value_name = "FILE")]
    pub graph: PathBuf,
    /// Reported losses, a JSON object a line; - is standard input
    #[arg(long, value_name = "FILE")]
    pub losses: Option<PathBuf>,
    /// The run whose losses count
    #[arg(long, value_name = "NAME", default_value = "")]
    #[arg(hide_default_value = true)]
    pub run: String,
    /// Which skills are evaluated: those trained on, some of them, or others
    #[arg(long, value_name = "continual-pre-training|fine-tuning|out-of-domain")]
    #[arg(default_value = "continual-pre-training", hide_possible_values = true)]
    pub setting: SettingName,
    /// How the mixture is found
    #[arg(long, value_name = "skill-it|stratified", default_value = "skill-it")]
    #[arg(hide_possible_values = true)]
    pub method: MethodName,
    /// The step size of Skill-It
    #[arg(long, default_value_t = SkillIt::default().eta)]
    pub eta: f64,
    /// How many of the last complete evaluations count
    #[arg(long, value_name = "N", default_value_t = SkillIt::default().window)]
    pub window: usize,
    /// Enlarge the step as the losses sink below the first ones
    #[arg(long)]
    pub eta_schedule: bool,
    /// Divide each loss by the same skill's first one
    #[arg(long)]
    pub normalise_losses: bool,
    /// Take a graph of zeros and ones as it is, instead of halving the ones between skills
    #[arg(long)]
    pub whole_ones: bool,
    /// The least share of each skill, such as 0.01
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub floor: f64,
    /// Print a JSON object
    #[arg(long)]
    pub json: bool,
}

/// Which skills are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SettingName {
    /// Those that are trained on.
    ContinualPreTraining,
    /// Some of them.
    FineTuning,
    /// Others.
    OutOfDomain,
}

/// How a mixture is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodName {
    /// By the losses.
    SkillIt,
    /// Equal weights.
    Stratified,
}

/// Finds the mixture, and prints it.
pub(super) fn run(global: &Global, args: &MixtureArgs) -> Result<(), Failure> {
    let mut live = LiveMixture::new(rule(args)?, &args.run);
    if let Some(path) = &args.losses {
        let ignored = apply(&mut live, path)?;
        if global.quiet == 0 {
            write!(io::stderr(), "{}", ignored.note(&args.run))?;
        }
    }
    let text = if args.json {
        as_json(&live, &args.run)
    } else {
        as_table(&live)
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

fn rule(args: &MixtureArgs) -> Result<MixtureRule, Failure> {
    let setting = match args.setting {
        SettingName::ContinualPreTraining => Setting::ContinualPreTraining,
        SettingName::FineTuning => Setting::FineTuning,
        SettingName::OutOfDomain => Setting::OutOfDomain,
    };
    let method = match args.method {
        MethodName::SkillIt => Method::SkillIt(SkillIt {
            eta: args.eta,
            window: args.window,
            eta_schedule: args.eta_schedule,
            normalise_losses: args.normalise_losses,
            halve_ones: !args.whole_ones,
        }),
        MethodName::Stratified => Method::Stratified,
    };
    if !(0.0..=1.0).contains(&args.floor) {
        let message = format!("--floor is {}, and must be from 0 to 1", args.floor);
        return Err(Failure::Usage(message.into()));
    }
    let floor = (args.floor * WHOLE as f64).round() as u64;
    let rule = MixtureRule::new(graph_in(&args.graph)?, setting, method, floor);
    rule.map_err(|error| about(&args.graph, &error))
}

/// Lines that did not count.
#[derive(Default)]
struct Ignored {
    other_runs: u64,
    unknown_skills: u64,
}

impl Ignored {
    /// A line for a person on each kind, if there are any.
    fn note(&self, run: &str) -> String {
        let mut note = String::new();
        let mut line = |count: u64, what: String| {
            if count > 0 {
                note.push_str(&format!("note: losses {what} do not count: {count}\n"));
            }
        };
        line(self.other_runs, format!("of other runs than {run:?}"));
        line(
            self.unknown_skills,
            "of skills that the graph does not evaluate".into(),
        );
        note
    }
}

fn apply(live: &mut LiveMixture, path: &Path) -> Result<Ignored, Failure> {
    let text = text(path)?;
    let mut ignored = Ignored::default();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong =
            |error: &dyn std::fmt::Display| about(path, &format_args!("line {number}: {error}"));
        let report = Report::parse(line.as_bytes()).map_err(|error| wrong(&error))?;
        match live.apply(&report).map_err(|error| wrong(&error))? {
            Applied::Changed | Applied::Unchanged => {}
            Applied::OtherRun => ignored.other_runs += 1,
            Applied::UnknownSkill => ignored.unknown_skills += 1,
        }
    }
    Ok(ignored)
}

fn as_json(live: &LiveMixture, run: &str) -> String {
    let mixture = live.mixture(&[]);
    let number = |round: bool| match mixture.follows() {
        Some(Mark::Round(number)) if round => Some(number),
        Some(Mark::Step(number)) if !round => Some(number),
        _ => None,
    };
    let mut object = json!({
        "method": live.rule().method().name(),
        "run": run,
        "round": number(true),
        "skills": mixture.shares(),
    });
    if let Some(step) = number(false) {
        object["step"] = step.into();
    }
    format!("{object}\n")
}

fn as_table(live: &LiveMixture) -> String {
    let mixture = live.mixture(&[]);
    let (complete, incomplete) = live.losses().counts();
    let follows = match mixture.follows() {
        Some(Mark::Round(round)) => format!("after round {round}"),
        Some(Mark::Step(step)) => format!("after step {step}"),
        None => "by the graph alone".into(),
    };
    let method = live.rule().method().name();
    let mut text =
        format!("{method} {follows}; {complete} complete evaluations, {incomplete} incomplete\n");
    let names = mixture
        .iter()
        .map(|(skill, weight)| (skill.escape_debug().to_string(), weight));
    let names: Vec<(String, u64)> = names.collect();
    let width = names
        .iter()
        .map(|(skill, _)| skill.chars().count())
        .max()
        .unwrap_or(0);
    for (skill, weight) in names {
        let share = weight as f64 / WHOLE as f64;
        text.push_str(&format!("{skill:width$}  {share:.9}\n"));
    }
    text
}
