//! Arguments of `tail`.

use std::str::FromStr;

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
    riffle tail curated                       wait for changes of the curated set
    riffle tail curated --until-end --json    all of them so far, a JSON object each
    riffle tail scored --from -10 --until-end the last ten
    riffle tail dead-letters --from beginning -n 1";

/// Which log to print, and which part of it.
#[derive(Clone, Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct TailArgs {
    /// The log to print
    pub log: TailLog,
    /// Print a JSON object a record
    #[arg(long)]
    pub json: bool,
    /// Where to begin in each partition: beginning, end, an offset, or -N for the last N records
    ///
    /// The default is the beginning with --until-end, and else the end.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    pub from: Option<TailFrom>,
    /// Stop at the present end of the log instead of waiting for more
    #[arg(long)]
    pub until_end: bool,
    /// Stop after so many records
    #[arg(short = 'n', long, value_name = "N")]
    pub count: Option<u64>,
}

/// A log by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TailLog {
    /// Documents as they came in.
    Documents,
    /// Scored records.
    Scored,
    /// Changes of the curated set.
    Curated,
    /// Cuts and counts of every epoch.
    Statistics,
    /// Documents that could not be scored, with the reason.
    DeadLetters,
}

/// A place in each partition of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// The first record there is.
    Beginning,
    /// After the last record.
    End,
    /// This offset.
    Offset(u64),
    /// So many records before the end.
    Last(u64),
}

impl FromStr for TailFrom {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected beginning, end, an offset such as 100, or -N such as -10";
        match text {
            "beginning" => Ok(TailFrom::Beginning),
            "end" => Ok(TailFrom::End),
            _ => match text.strip_prefix('-') {
                Some(count) => count.parse().map(TailFrom::Last).map_err(|_| EXPECTED),
                None => text.parse().map(TailFrom::Offset).map_err(|_| EXPECTED),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_words_offsets_and_counts_from_the_end() {
        assert_eq!("beginning".parse(), Ok(TailFrom::Beginning));
        assert_eq!("end".parse(), Ok(TailFrom::End));
        assert_eq!("17".parse(), Ok(TailFrom::Offset(17)));
        assert_eq!("-3".parse(), Ok(TailFrom::Last(3)));
        for wrong in ["", "-", "--1", "+ 1", "last", "-1.5"] {
            assert!(wrong.parse::<TailFrom>().is_err(), "{wrong}");
        }
    }

    #[derive(clap::Parser)]
    struct Tail {
        #[command(flatten)]
        args: TailArgs,
    }

    #[test]
    fn a_count_from_the_end_is_no_flag() {
        use clap::Parser;
        let Tail { args } =
            Tail::try_parse_from(["tail", "dead-letters", "--from", "-10"]).unwrap();
        assert_eq!(
            (args.log, args.from),
            (TailLog::DeadLetters, Some(TailFrom::Last(10)))
        );
        assert!(Tail::try_parse_from(["tail", "scored", "--from", "-x"]).is_err());
    }
}
