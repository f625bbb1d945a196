//! What the source reads, and the way on which the two kinds part.

use operators::Upsert;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::operate::FrontierInterest;

use super::mixture::Reported;

/// A scored record, or what a trainer reports.
#[derive(Clone)]
pub enum Received<D> {
    /// Of the scored log.
    Document(Upsert<D>),
    /// Of the log of losses.
    Report(Reported),
}

/// Documents and reports, each in the order of their arrival.
///
/// Timely's own `ok_err` groups containers by their time with an unstable sort: of many that wait it
/// loses the order, and with it the last version of a document.
pub fn apart<'s, D: Clone + 'static>(
    received: StreamVec<'s, u64, Received<D>>,
) -> (StreamVec<'s, u64, Upsert<D>>, StreamVec<'s, u64, Reported>) {
    let mut builder = OperatorBuilder::new("Apart".to_owned(), received.scope());
    let mut received = builder.new_input(received, Pipeline);
    builder.set_notify_for(0, FrontierInterest::Never);
    let (documents, documents_stream) = builder.new_output::<Vec<Upsert<D>>>();
    let (reports, reports_stream) = builder.new_output::<Vec<Reported>>();
    let mut documents = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(documents);
    let mut reports = OutputBuilder::<_, CapacityContainerBuilder<_>>::from(reports);
    builder.build(move |_capabilities| {
        move |_frontiers| {
            let (mut documents, mut reports) = (documents.activate(), reports.activate());
            received.for_each(|stamp, data| {
                let mut documents = documents.session(&stamp);
                let mut reports = reports.session(&stamp);
                for received in data.drain(..) {
                    match received {
                        Received::Document(upsert) => documents.give(upsert),
                        Received::Report(report) => reports.give(report),
                    }
                }
            });
        }
    });
    (documents_stream, reports_stream)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use operators::DocumentHash;
    use timely::dataflow::InputHandle;
    use timely::dataflow::operators::Inspect;

    use super::*;

    #[test]
    fn many_batches_that_wait_together_keep_their_order() {
        const DOCUMENTS: u64 = 100_000;
        let (sender, told) = mpsc::channel();
        timely::execute_directly(move |worker| {
            let mut input = InputHandle::new();
            worker.dataflow::<u64, _, _>(|scope| {
                let (documents, _) = apart(input.to_stream(scope));
                documents.inspect(move |upsert| sender.send(upsert.record.unwrap()).unwrap());
            });
            for n in 0..DOCUMENTS {
                let id = DocumentHash::default();
                input.send(Received::Document(Upsert {
                    id,
                    record: Some(n),
                }));
            }
        });
        assert!(told.iter().eq(0..DOCUMENTS));
    }
}
