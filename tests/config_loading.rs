//! How a configuration comes about: its layers, its defaults, its limits, and its secrets.

use std::fs;

use riffle::config::{
    Config, DEFAULT_TOML, Keep, Loaded, LogKind, Mass, PerplexityFrom, Rate, Sources, Stage, load,
    schema,
};
use tempfile::TempDir;

/// What stands for a secret in these tests.
const SECRET: &str = "hunter2";

struct Given {
    dir: TempDir,
    sources: Sources,
}

impl Given {
    fn file(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("riffle.toml");
        fs::write(&file, text).expect("the temporary directory can be written");
        Given {
            dir,
            sources: Sources {
                file: Some(file),
                ..Sources::default()
            },
        }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.into(), value.into()));
        self
    }

    fn set(mut self, text: &str) -> Self {
        self.sources.set.push(text.into());
        self
    }

    fn load(&self) -> Loaded {
        load(&self.sources).unwrap_or_else(|error| panic!("{error}"))
    }

    fn config(&self) -> Config {
        self.load().config
    }

    fn error(&self) -> String {
        let error = load(&self.sources)
            .err()
            .expect("the configuration should be refused");
        let dir = format!("{}/", self.dir.path().display());
        error.to_string().replace(&dir, "")
    }
}

fn set(text: &str) -> Given {
    Given::file("").set(text)
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let file = Given::file("[score]\nmax_tokens = 1\nepoch_ms = 2\nthreads = 3\n");
    assert_eq!(file.config().score.max_tokens, 1);
    let given = file
        .env("RIFFLE__SCORE__EPOCH_MS", "20")
        .env("RIFFLE__SCORE__THREADS", "30")
        .set("score.threads=299")
        .set("score.threads=300");
    let score = given.config().score;
    assert_eq!(
        (score.max_tokens, score.epoch_ms, score.threads),
        (1, 20, 300)
    );
    assert_eq!(
        score.batch_tokens_max,
        Config::default().score.batch_tokens_max
    );
}

#[test]
fn values_are_toml_or_else_plain_text() {
    assert_eq!(set("documents.topic=raw").config().documents.topic, "raw");
    assert_eq!(
        set("documents.topic=\"raw\"").config().documents.topic,
        "raw"
    );
    assert_eq!(
        set("local.dir=a = b\n[x]").config().local.dir.to_str(),
        Some("a = b\n[x]")
    );
    let field = PerplexityFrom::Field("metadata.ppl".to_owned().try_into().unwrap());
    for text in [
        "score.perplexity.field=metadata.ppl",
        "score={perplexity={field='metadata.ppl'}}",
    ] {
        assert_eq!(set(text).config().score.perplexity, field);
    }
    let variable = Given::file("").env("RIFFLE__SCORE__PERPLEXITY__FIELD", "metadata.ppl");
    assert_eq!(variable.config().score.perplexity, field);
    let back = Given::file("[score]\nperplexity = { field = 'a' }").set("score.perplexity=model");
    assert_eq!(back.config().score.perplexity, PerplexityFrom::Model);
    assert_eq!(
        set("documents.topic=2024").error(),
        "--set:1:17: documents.topic: invalid type: integer `2024`, expected a string"
    );
}

#[test]
fn kafka_properties_are_named_with_dots_wherever_they_come_from() {
    for given in [
        Given::file("[kafka]\n'bootstrap.servers' = 'a:1'"),
        Given::file("[kafka]\nbootstrap.servers = 'a:1'"),
        Given::file("[kafka.bootstrap]\nservers = 'a:1'"),
        set("kafka.bootstrap.servers=a:1"),
        set("kafka.\"bootstrap.servers\"=a:1"),
        Given::file("[kafka]\n'bootstrap.servers' = 'b:2'").set("kafka.bootstrap.servers=a:1"),
        Given::file("").env("RIFFLE__KAFKA__BOOTSTRAP_SERVERS", "a:1"),
        Given::file("").env("RIFFLE__KAFKA__bootstrap.servers", "a:1"),
    ] {
        let kafka = given.config().kafka;
        assert_eq!(
            kafka.iter().collect::<Vec<_>>(),
            [("bootstrap.servers", "a:1")]
        );
    }
}

#[test]
fn kafka_properties_given_as_text_keep_it_to_the_letter() {
    for text in ["0123", "1e5", "0x10", "true", "1_000", "# a", "{", "a\"b"] {
        let kafka = set(&format!("kafka.sasl.password={text}")).config().kafka;
        assert_eq!(kafka.get("sasl.password"), Some(text));
    }
    let file = Given::file("[kafka]\n'linger.ms' = 5\n'enable.idempotence' = true").config();
    assert_eq!(file.kafka.get("linger.ms"), Some("5"));
    assert_eq!(file.kafka.get("enable.idempotence"), Some("true"));
}

#[test]
fn secrets_are_read_from_files_and_variables() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    let file = file.display();
    for given in [
        Given::file(&format!("[kafka]\n'sasl.password' = {{ file = '{file}' }}")),
        set(&format!("kafka.sasl.password.file={file}")),
        Given::file("").env("RIFFLE__KAFKA__SASL_PASSWORD__FILE", &file.to_string()),
        Given::file("[kafka]\nsasl.password.env = 'PASSWORD'").env("PASSWORD", SECRET),
    ] {
        assert_eq!(given.config().kafka.get("sasl.password"), Some(SECRET));
        assert!(!given.load().show().contains(SECRET));
    }
}

#[test]
fn secrets_show_neither_in_show_nor_in_debug_nor_in_errors() {
    let file = format!(
        "[kafka]\n'sasl.password' = '{SECRET}'\n'ssl.key.pem' = '''\n{SECRET}\n'''\n\
         sasl.oauthbearer.client.secret = '{SECRET}'\n"
    );
    let given = Given::file(&format!("[kafka]\n'sasl.password' = '{SECRET}'\n"));
    let shown = given.load().show();
    assert!(
        !shown.contains(SECRET) && shown.contains("<redacted>"),
        "{shown}"
    );
    assert!(!format!("{:?}", given.config()).contains(SECRET));
    assert!(
        !serde_json::to_string(&given.config())
            .unwrap()
            .contains(SECRET)
    );
    for wrong in [
        Given::file(&format!("{file}'sasl.username' = [me]\n")),
        Given::file(&format!("{file}'sasl.username' =\n")),
        Given::file(&format!("[kafka]\n'sasl.password' = {SECRET}\n")),
        Given::file(&format!("[kafka]\n'sasl.password' = ['{SECRET}']\n")),
        Given::file(&format!("[kafka]\n'sasl.password' = [\n'{SECRET}'\n]\n")),
        Given::file(&format!("[kafka]\n'ssl.key.pem' = '''\n{SECRET}\n")),
        Given::file(&format!("[kafka]\n'ssl.key.pem' = '''\n{SECRET}\n''''''\n")),
        Given::file(&format!("[documents]\n'sasl.password' = '{SECRET}'\n")),
        Given::file("")
            .env("RIFFLE__KAFKA__SASL_PASSWRD", "me")
            .set(&format!("kafka.x.secret={SECRET}")),
        Given::file("").env("RIFFLE__KAFKAS__SASL_PASSWORD", SECRET),
        set(&format!("kafka.sasl.password:{SECRET}")),
        set(&format!("sasl.password={SECRET}")),
    ] {
        let error = load(&wrong.sources)
            .err()
            .expect("the configuration should be refused");
        for text in [error.to_string(), error.report(false), format!("{error:?}")] {
            assert!(!text.contains(SECRET), "{text}");
        }
    }
}

#[test]
fn select_is_the_default_stage_or_what_is_given_or_nothing() {
    assert_eq!(Given::file("").config().select, [Stage::default()]);
    assert_eq!(set("select=[]").config().select, []);
    let file = Given::file("[[select]]\nby = 'perplexity'\n[[select]]\nby = 'random'\nseed = 7\n");
    let rate = Rate::from_ppm(500_000).unwrap();
    let mass = Mass::Documents;
    let random = Stage::Random {
        rate,
        seed: 7,
        group_by: None,
        mass,
    };
    assert_eq!(file.config().select, [Stage::default(), random.clone()]);
    let replaced = file.set("select=[{by=\"random\", seed=7}]");
    assert_eq!(replaced.config().select, [random]);
}

#[test]
fn logs_are_of_the_kind_of_the_log_before_unless_given() {
    let kafka = "[kafka]\nbootstrap.servers = 'a:1'\n";
    let kinds = |text: &str| {
        Given::file(&format!("{kafka}{text}"))
            .config()
            .log_kinds()
            .map(|log| log.1)
    };
    let (local, kafka) = (LogKind::Local, LogKind::Kafka);
    assert_eq!(kinds(""), [local, local, local]);
    assert_eq!(kinds("[documents]\nlog = 'kafka'"), [kafka, kafka, kafka]);
    assert_eq!(kinds("[scored]\nlog = 'kafka'"), [local, kafka, kafka]);
    assert_eq!(
        kinds("[documents]\nlog = 'kafka'\n[scored]\nlog = 'local'"),
        [kafka, local, local]
    );
}

#[test]
fn the_default_file_is_the_defaults_and_names_every_key() {
    let given = Given::file(DEFAULT_TOML);
    assert_eq!(given.config(), Config::default());
    let schema = schema();
    let sections = schema["properties"].as_object().unwrap();
    for (section, keys) in sections.iter().filter(|(section, _)| *section != "kafka") {
        let header = if section == "select" {
            "\n[[select]]\n".into()
        } else {
            format!("\n[{section}]\n")
        };
        let (_, after) = DEFAULT_TOML.split_once(&header).expect(section);
        let text = after.split("\n[").next().unwrap();
        let table = keys.get("items").unwrap_or(keys);
        let table = schema
            .pointer(&table["$ref"].as_str().unwrap()[1..])
            .unwrap();
        for key in table["properties"].as_object().unwrap().keys() {
            let given = [format!("\n{key} = "), format!("\n# {key} = ")];
            let text = format!("\n{text}");
            assert!(
                given.iter().any(|line| text.contains(line)),
                "{section}.{key}"
            );
        }
    }
}

#[test]
fn every_commented_key_of_the_default_file_can_be_taken_in() {
    let mut header = "";
    let mut taken = Vec::new();
    for line in DEFAULT_TOML.lines() {
        header = if line.starts_with('[') { line } else { header };
        let Some(assignment) = line.strip_prefix("# ") else {
            continue;
        };
        if assignment.parse::<toml_edit::DocumentMut>().is_err() {
            continue;
        }
        let key = assignment.split(" = ").next().unwrap();
        let beside = match key {
            "tokens" => "perplexity = { field = 'metadata.perplexity' }",
            "group_by" | "seed" => "by = 'random'",
            "epsilon" | "phases" | "over" => "by = 'density'",
            "budget" => "by = 'stratified'\ngroup_by = 'source'",
            // There is no such file here, and TLS only where it is built in.
            "\"sasl.password\"" | "\"ssl.key.password\"" => continue,
            _ => "",
        };
        Given::file(&format!("{header}\n{beside}\n{assignment}\n")).load();
        taken.push(key);
    }
    assert_eq!(
        taken,
        [
            "\"bootstrap.servers\"",
            "log",
            "log",
            "tokens",
            "field",
            "floor",
            "budget",
            "group_by",
            "seed",
            "epsilon",
            "phases",
            "over"
        ]
    );
}

#[test]
fn the_schema_states_the_limits_that_are_enforced() {
    let schema = schema();
    let mut limits = 0;
    for (section, reference) in schema["properties"].as_object().unwrap() {
        let Some(pointer) = reference["$ref"].as_str() else {
            continue;
        };
        let table = schema.pointer(&pointer[1..]).unwrap();
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            if property["type"] != "integer" {
                continue;
            }
            let taken =
                |number: i128| load(&set(&format!("{section}.{key}={number}")).sources).is_ok();
            let limit = |name: &str| property[name].as_f64().map(|limit| limit as i128);
            let minimum = limit("minimum").expect("every number has a least value");
            let maximum = limit("maximum").unwrap_or(i64::MAX.into());
            assert!(
                !taken(minimum - 1) && !taken(maximum + 1),
                "{section}.{key}"
            );
            // The other limits of a batch and a document's tokens hold each other.
            if !key.contains("tokens") {
                assert!(taken(minimum) && taken(maximum), "{section}.{key}");
            }
            limits += 1;
        }
    }
    assert_eq!(limits, 17);
}

#[test]
fn what_show_prints_reads_back_as_the_same_configuration() {
    let given =
        Given::file("[score]\nmax_tokens = 7\n[[select]]\nby = 'random'\ngroup_by = 'source'\n")
            .env("RIFFLE__CURATE__WORKERS", "2")
            .set("kafka.bootstrap.servers=a:1");
    let shown = given.load().show();
    let origin = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key)).expect(key);
        line.split_once(" # ")
            .map(|(_, origin)| origin.rsplit('/').next().unwrap())
    };
    assert_eq!(origin("max_tokens"), Some("riffle.toml:2"));
    assert_eq!(origin("group_by"), Some("riffle.toml:5"));
    assert_eq!(origin("workers"), Some("RIFFLE__CURATE__WORKERS"));
    assert_eq!(origin("\"bootstrap.servers\""), Some("--set"));
    assert_eq!(origin("threads"), None);
    assert_eq!(Given::file(&shown).config(), given.config());
}

#[test]
fn the_rules_are_written_the_same_for_ever() {
    let given = Given::file(
        "[[select]]\nby = 'perplexity'\n[[select]]\nby = 'random'\nrate = 0.000001\n\
         group_by = 'metadata.lang'\nmass = 'tokens'\n\
         [[select]]\nby = 'density'\nrate = 0.25\nepsilon = 0.5\nover = 'survivors'\n",
    );
    let text = serde_json::to_string(&given.config().select).unwrap();
    assert_eq!(
        text,
        r#"[{"by":"perplexity","keep":"medium","rate":0.5,"mass":"documents"},{"by":"random","rate":1e-6,"group_by":"metadata.lang","mass":"tokens","seed":0},{"by":"density","rate":0.25,"seed":0,"epsilon":0.5,"phases":16,"over":"survivors"}]"#
    );
    assert_eq!(
        serde_json::from_str::<Vec<Stage>>(&text).unwrap(),
        given.config().select
    );
    let high = set("select=[{by='perplexity', keep='high'}]").config();
    assert!(matches!(
        high.select[..],
        [Stage::Perplexity {
            keep: Keep::High,
            ..
        }]
    ));
}

#[test]
fn every_prefix_of_a_file_is_read_or_refused_without_a_panic() {
    let file =
        "[kafka]\n'sasl.password' = { file = 'é' }\n[[select]]\nby = 'random'\nrate = 0.5 # é\n";
    for end in (0..=file.len()).filter(|end| file.is_char_boundary(*end)) {
        if let Err(error) = load(&Given::file(&file[..end]).sources) {
            assert!(!error.report(true).is_empty());
        }
    }
}

#[test]
fn wrong_shapes_are_told_in_the_words_of_toml() {
    for (text, message) in [
        (
            "kafka=5",
            "kafka: invalid type: string \"5\", expected a table",
        ),
        (
            "score=5",
            "score: invalid type: integer `5`, expected a table",
        ),
        (
            "select={}",
            "select: invalid type: table, expected an array",
        ),
        (
            "select=[5]",
            "select[0]: invalid type: integer `5`, expected a table",
        ),
        (
            "select=[{by='random', rate='x'}]",
            "select[0].rate: invalid type: string \"x\", expected a number",
        ),
        ("documents.log=[]", "documents.log: invalid type: array"),
        ("local.dir=", "local.dir: an empty text is no path"),
        ("kafka.client.id={}", "kafka.client.id: "),
        (
            "documents.log=Kafka",
            "documents.log: unknown variant `Kafka`, expected `local` or `kafka`",
        ),
    ] {
        let error = set(text).error();
        assert!(
            error.contains(message) && error.lines().count() == 1,
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources {
        file: Some("/nowhere/riffle.toml".into()),
        ..Sources::default()
    };
    let error = load(&sources).err().unwrap().to_string();
    assert!(
        error.contains("/nowhere/riffle.toml cannot be read"),
        "{error}"
    );
}
