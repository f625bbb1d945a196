//! What is wrong with a configuration: each problem with its place and what to do about it.

use std::fmt;
use std::ops::Range;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
    SourceSpan,
};

use super::origin::Source;
use super::redact::redacted;

/// How wide reports are drawn, in columns.
const WIDTH: usize = 100;

/// A configuration that cannot be used, with everything that was found wrong.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// At least one.
    problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Problem {
    message: String,
    help: Option<String>,
    place: Option<Box<Place>>,
}

/// A place in a text that values were read from. The text is without its secrets.
#[derive(Debug)]
struct Place {
    source: NamedSource<String>,
    span: SourceSpan,
    line: usize,
    column: usize,
}

impl Problem {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Problem {
            message: message.into(),
            help: None,
            place: None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Problem {
            help: Some(help.into()),
            ..self
        }
    }

    pub(super) fn at(self, source: &Source, span: Range<usize>) -> Self {
        let (line, column) = source.line_column(span.start);
        let (text, span) = redacted(source.text(), span);
        let source = NamedSource::new(source.name(), text);
        let span = span.into();
        let place = Some(Box::new(Place {
            source,
            span,
            line,
            column,
        }));
        Problem { place, ..self }
    }
}

impl ConfigError {
    /// Fails if there are any problems; they are told in the order of their lines.
    pub(super) fn of(mut problems: Vec<Problem>) -> Result<(), Self> {
        problems.sort_by_key(|problem| {
            problem
                .place
                .as_ref()
                .map(|place| (place.line, place.column))
        });
        if problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { problems })
        }
    }

    /// The problems, at least one.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The problems as a person reads them: the line they are on, a caret, and what to do.
    pub fn report(&self, colored: bool) -> String {
        let theme = if colored {
            GraphicalTheme::unicode()
        } else {
            GraphicalTheme::unicode_nocolor()
        };
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(WIDTH)
            .with_context_lines(1);
        let mut report = String::new();
        for (i, problem) in self.problems.iter().enumerate() {
            report.push_str(if i == 0 { "" } else { "\n" });
            handler
                .render_report(&mut report, problem)
                .expect("writing to memory does not fail");
        }
        report
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        ConfigError {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}")?;
            if let Some(place) = &problem.place {
                write!(
                    f,
                    "{}:{}:{}: ",
                    place.source.name(),
                    place.line,
                    place.column
                )?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.help.as_ref()?))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.place.as_ref()?.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        Some(Box::new(std::iter::once(
            LabeledSpan::new_primary_with_span(None, place.span),
        )))
    }
}
