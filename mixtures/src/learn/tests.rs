use super::*;

const TABLE: &str = "\
trained,with,skill,step,loss
,,a,0,4
,,b,0,3
a,,a,10,2
a,,b,10,2.6
b,,a,10,4.5
b,,b,10,1.5
a,b,a,10,1.8
b,a,b,10,0.5
a,,a,20,1
";

fn graph(table: &str, rule: Rule, options: LearnOptions) -> Result<Graph, LearnError> {
    learn(&Curves::from_csv(table).unwrap(), rule, options)
}

fn rows(graph: &Graph) -> Vec<&[f64]> {
    graph.rows().collect()
}

#[test]
fn the_approximate_rule_weighs_by_the_drop_of_the_loss() {
    let graph = graph(TABLE, Rule::Approximate, LearnOptions::default()).unwrap();
    assert_eq!(graph.training(), ["a", "b"]);
    // Drops of 2, 0.4, -0.5 and 1.5 nats, by the largest.
    assert_eq!(rows(&graph), [[1.0, 0.2], [0.0, 0.75]]);
}

#[test]
fn the_exact_rule_weighs_by_the_drop_that_the_other_skill_adds() {
    let graph = graph(TABLE, Rule::Exact, LearnOptions::default()).unwrap();
    // Beside b, a has 0.2 nats less than alone; beside a, b has 1 nat less.
    assert_eq!(rows(&graph), [[1.0, 0.5], [0.1, 1.0]]);
}

#[test]
fn two_skills_that_do_not_help_each_other_have_no_edge() {
    let table = TABLE
        .replace("a,b,a,10,1.8", "a,b,a,10,2")
        .replace("b,a,b,10,0.5", "b,a,b,10,9");
    let graph = graph(&table, Rule::Exact, LearnOptions::default()).unwrap();
    assert_eq!(rows(&graph), [[1.0, 0.0], [0.0, 1.0]]);
}

#[test]
fn a_drop_counts_only_above_the_least() {
    let options = LearnOptions {
        least_drop: 0.4,
        ..LearnOptions::default()
    };
    let table = TABLE.replace("a,,b,10,2.6", "a,,b,10,2.75");
    let graph = graph(&table, Rule::Approximate, options).unwrap();
    assert_eq!(rows(&graph), [[1.0, 0.0], [0.0, 0.75]]);
}

#[test]
fn losses_are_compared_at_the_last_step_that_all_curves_have() {
    let later = "a,,b,20,1\nb,,a,20,4\nb,,b,20,1\n";
    let options = |steps| LearnOptions {
        steps,
        ..LearnOptions::default()
    };
    let table = format!("{TABLE}{later}");
    let learnt = |steps| graph(&table, Rule::Approximate, options(steps)).unwrap();
    let thirds = [[1.0, 0.666667], [0.0, 0.666667]];
    assert_eq!(rows(&learnt(None)), thirds);
    assert_eq!(learnt(Some(20)), learnt(None));
    assert_eq!(rows(&learnt(Some(10))), [[1.0, 0.2], [0.0, 0.75]]);
    let error = graph(TABLE, Rule::Approximate, options(Some(20))).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"the losses on "b" of training on "a" have none after 20 steps"#
    );
}

#[test]
fn a_curve_has_its_own_start_or_the_untrained_models() {
    let table = "trained,skill,step,loss\na,x,0,3\na,x,5,2\nb,x,5,1\n";
    let error = graph(table, Rule::Approximate, LearnOptions::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("training on \"b\" has no loss on \"x\" at step 0")
    );
    let table = format!("{table},x,0,3\n");
    let learnt = graph(&table, Rule::Approximate, LearnOptions::default()).unwrap();
    assert_eq!(rows(&learnt), [[0.5], [1.0]]);
}

#[test]
fn both_forms_of_a_table_give_the_same_curves() {
    let json = r#"
        {"skill": "a", "step": 0, "loss": 4}
        {"trained": "", "with": null, "skill": "b", "step": 0, "loss": 3}
        {"trained": "a", "skill": "a", "step": 10, "loss": 2}

        {"trained": "a", "with": "b", "skill": "a", "step": 10, "loss": 1.8}"#;
    let csv = "trained,with,skill,step,loss\n,,a,0,4\n,,b,0,3\na,,a,10,2\nb,a,a,10,1.8\n";
    let of_csv = Curves::from_csv(csv).unwrap();
    let of_json = Curves::from_json_lines(json).unwrap();
    assert_eq!(of_json.evaluation(), of_csv.evaluation());
    let rule = |curves: &Curves| learn(curves, Rule::Exact, LearnOptions::default());
    let missing = rule(&of_json).unwrap_err();
    assert_eq!(
        missing.to_string(),
        r#"the table has no losses on "b" of training on "b""#
    );
    assert_eq!(of_json.loss((Trained::two(0, 1), 0), 10), 1.8);
    assert_eq!(of_csv.loss((Trained::two(1, 0), 0), 10), 1.8);
}

#[test]
fn what_is_no_table_is_told_with_its_row() {
    let message = |text: &str| Curves::from_csv(text).unwrap_err().to_string();
    assert!(message("trained,skill,step\na,b,1\n").contains("`loss`"));
    assert!(message("trained,skill,step,loss\na,b,x,1\n").contains("line: 2"));
    let twice = "trained,with,skill,step,loss\na,b,c,1,1\nb,a,c,1,2\n";
    assert_eq!(
        message(twice),
        r#"row 2: the loss on "c" after 1 steps on "a" and "b" is given twice"#
    );
    assert_eq!(
        message("trained,skill,step,loss\na,b,1,nan\n"),
        "row 1: the loss is NaN, and must be finite and not negative"
    );
    assert!(message("trained,with,skill,step,loss\n,b,a,1,1\n").starts_with("row 1: \"with\""));
    assert!(message("trained,skill,step,loss\na,,1,1\n").contains("name is empty"));
    let error = Curves::from_json_lines("{}\n").unwrap_err().to_string();
    assert!(error.starts_with("line 1: missing field"), "{error}");
}

#[test]
fn a_table_that_shows_no_help_makes_no_graph() {
    let table = "trained,skill,step,loss\na,a,0,1\na,a,5,1\n";
    let error = graph(table, Rule::Approximate, LearnOptions::default()).unwrap_err();
    assert_eq!(error, LearnError::NoEdge(0.0));
    let one_step = "trained,skill,step,loss\na,a,0,1\na,b,5,1\na,a,6,1\n";
    let error = graph(one_step, Rule::Approximate, LearnOptions::default()).unwrap_err();
    assert_eq!(error, LearnError::NoCommonStep);
    let empty = graph(
        "trained,skill,step,loss\n",
        Rule::Exact,
        LearnOptions::default(),
    );
    assert!(empty.is_err());
}
