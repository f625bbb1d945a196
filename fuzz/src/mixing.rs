//! What trainers and people write for mixtures of skills.

use mixtures::{Curves, Graph, Report};
use riffle::skills::Centroids;

use crate::Target;
use crate::scratch::with_file;

pub const TARGETS: &[Target] = &[
    Target {
        name: "report",
        seeds: || {
            texts(&[
                r#"{"run": "a", "round": 3, "skill": "read", "loss": 1.25}"#,
                r#"{"step": 18446744073709551615, "skill": "write", "loss": null}"#,
                r#"["a",{"round":3},"read"]"#,
            ])
        },
        run: report,
    },
    Target {
        name: "graph",
        seeds: || {
            texts(&[
                r#"{"training": ["a", "b"], "evaluation": ["a"], "edges": [[1], [0.5]]}"#,
                ",a,b\na,1,0.25\nb,0,1\n",
                "skill,\"a, b\"\n\"a, b\",1\n",
            ])
        },
        run: graph,
    },
    Target {
        name: "curves",
        seeds: || {
            texts(&[
                "trained,with,skill,step,loss\n,,a,0,3\na,,a,100,2\na,b,a,100,1.5\nb,,a,100,2.5\n",
                "{\"trained\": \"a\", \"skill\": \"a\", \"step\": 0, \"loss\": 3.5}\n",
            ])
        },
        run: curves,
    },
    Target {
        name: "centroids",
        seeds: || {
            texts(&[
                r#"{"version": 1, "encoder": {"name": "e", "dimensions": 2, "parameters": 9}, "skills": [{"name": "a", "documents": 3, "centroid": [0.5, 1e-9]}]}"#,
            ])
        },
        run: centroids,
    },
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn report(bytes: &[u8]) {
    if let Ok(report) = Report::parse(bytes) {
        let again = Report::parse_tombstone(report.key().as_bytes());
        assert!(again.is_ok(), "a report's own key takes it back");
    }
    let _ = Report::parse_tombstone(bytes);
}

fn graph(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for graph in [Graph::from_json(text), Graph::from_csv(text)]
        .into_iter()
        .flatten()
    {
        assert_eq!(Graph::from_json(&graph.to_json()).as_ref(), Ok(&graph));
        assert_eq!(Graph::from_csv(&graph.to_csv()).as_ref(), Ok(&graph));
    }
}

fn curves(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for curves in [Curves::from_csv(text), Curves::from_json_lines(text)]
        .into_iter()
        .flatten()
    {
        let options = mixtures::LearnOptions::default();
        for rule in [mixtures::Rule::Exact, mixtures::Rule::Approximate] {
            let _ = mixtures::learn(&curves, rule, options);
        }
    }
}

fn centroids(bytes: &[u8]) {
    with_file("skills.json", bytes, |path| {
        let _ = Centroids::open(path);
    });
}
