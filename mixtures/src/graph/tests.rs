use proptest::prelude::*;

use super::*;

fn names(skills: &[&str]) -> Vec<String> {
    skills.iter().map(|it| it.to_string()).collect()
}

const CSV: &str = "\u{feff}skill, write ,\"reason, long\"\nread,0.5,0\nwrite,1,-0.25\n";

#[test]
fn both_forms_give_the_same_graph() {
    let json = r#"{"training": ["read", "write"], "evaluation": ["write", "reason, long"],
                   "edges": [[0.5, 0], [1, -0.25]]}"#;
    let graph = Graph::from_json(json).unwrap();
    assert_eq!(Graph::from_csv(CSV).unwrap(), graph);
    assert_eq!(graph.training(), ["read", "write"]);
    assert_eq!(graph.evaluation(), ["write", "reason, long"]);
    assert_eq!((graph.edge(0, 0), graph.edge(1, 1)), (0.5, -0.25));
    assert_eq!(graph.prerequisites(), [true, true]);
}

#[test]
fn the_identity_helps_each_skill_alone() {
    let graph = Graph::identity(names(&["a", "b"])).unwrap();
    assert_eq!(graph.rows().collect::<Vec<_>>(), [[1.0, 0.0], [0.0, 1.0]]);
    assert_eq!(
        Graph::identity(vec![]),
        Err(GraphError::NoSkills { side: "training" })
    );
}

#[test]
fn errors_say_row_and_column() {
    let message = |text: &str| Graph::from_csv(text).unwrap_err().to_string();
    assert_eq!(
        message("x,a,b\nc,1,2\nd,1,much\n"),
        r#"row 2 ("d"), column 2 ("b"): "much" is no number"#
    );
    assert_eq!(
        message("x,a,b\nc,1,2\nd,1\n"),
        r#"row 2 ("d") has 1 edges, and there are 2 evaluation skills"#
    );
    assert_eq!(
        message("x,a,b\nc,inf,2\n"),
        r#"row 1 ("c"), column 1 ("a"): inf is no edge; edges are finite and at most 1000000"#
    );
    assert_eq!(
        message("x,a,a\nc,1,2\n"),
        r#"evaluation skill 2, "a", is given twice"#
    );
    assert_eq!(
        message("x,a,\nc,1,2\n"),
        "evaluation skill 2: a skill's name is empty"
    );
    assert_eq!(
        message("x,a\nc,1\nc,2\n"),
        r#"training skill 2, "c", is given twice"#
    );
    assert_eq!(message("x,a\n"), "the graph has no training skills");
    assert_eq!(message("x\nc\n"), "the graph has no evaluation skills");
    assert_eq!(message(""), "the graph has no training skills");
    let long = format!("x,{}\nc,1\n", "n".repeat(257));
    assert!(
        message(&long).contains("has 257 bytes, more than the 256"),
        "{}",
        message(&long)
    );

    let message = |text: &str| Graph::from_json(text).unwrap_err().to_string();
    let rows = r#"{"training": ["a", "b"], "evaluation": ["a"], "edges": [[1]]}"#;
    assert_eq!(
        message(rows),
        "the graph has 1 rows of edges and 2 training skills"
    );
    let unknown = r#"{"training": ["a"], "evaluation": ["a"], "edges": [[1]], "weights": []}"#;
    assert!(message(unknown).contains("weights"));
    assert!(message("{").contains("line 1 column 1"), "{}", message("{"));
}

#[test]
fn sizes_are_limited() {
    let skills = |count: usize| (0..count).map(|it| it.to_string()).collect::<Vec<String>>();
    let error = Graph::new(skills(10_001), skills(1), &[])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "the graph has 10001 training skills, more than the 10000 that are supported"
    );
    let error = Graph::new(skills(10_000), skills(1_678), &[])
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("10000 training skills by 1678"),
        "{error}"
    );
}

#[test]
fn ones_between_different_skills_are_halved_by_name_and_not_by_place() {
    let edges = [vec![1.0, 1.0], vec![1.0, 0.0]];
    let graph = Graph::new(names(&["a", "b"]), names(&["b", "a"]), &edges).unwrap();
    let halved = graph.with_halved_ones();
    assert_eq!(halved.rows().collect::<Vec<_>>(), [[0.5, 1.0], [1.0, 0.0]]);
}

#[test]
fn measured_edges_of_exactly_one_are_not_halved() {
    let edges = [vec![1.0, 1.0], vec![0.3, 1.0]];
    let graph = Graph::new(names(&["a", "b"]), names(&["a", "b"]), &edges).unwrap();
    assert_eq!(graph.clone().with_halved_ones(), graph);
}

fn arbitrary() -> impl Strategy<Value = Graph> {
    let name = "[a-z \",\n;é]{0,6}";
    let side = prop::collection::btree_set(name, 1..6);
    (side.clone(), side).prop_flat_map(|(training, evaluation)| {
        // Numbers as they are measured or written: with few digits.
        let edge = (-999_999i32..=999_999).prop_map(|n| f64::from(n) / 1000.0);
        let row = prop::collection::vec(edge, evaluation.len());
        let name = |it: String| format!("n{it}n");
        let training: Vec<String> = training.into_iter().map(name).collect();
        let evaluation: Vec<String> = evaluation.into_iter().map(name).collect();
        prop::collection::vec(row, training.len()).prop_map(move |edges| {
            Graph::new(training.clone(), evaluation.clone(), &edges).unwrap()
        })
    })
}

proptest! {
    #[test]
    fn a_written_graph_reads_back_the_same(graph in arbitrary()) {
        prop_assert_eq!(&Graph::from_json(&graph.to_json()).unwrap(), &graph);
        prop_assert_eq!(&Graph::from_csv(&graph.to_csv()).unwrap(), &graph);
    }
}
