//! GLUE from files with the quirks of the originals to the files that are submitted, and RACE and tables beside it.

mod common;

use albert::heads::ClassLabels;
use albert_train::dataset::Dataset;
use albert_train::tasks::Encode;
use albert_train::tasks::glue::{GlueTask, Predictions, Split};
use albert_train::tasks::race::{ChoiceDataset, ChoiceExamples, Level};
use albert_train::tasks::table::{Table, TableOptions, TableTask, Target};

#[test]
fn the_files_have_their_quirks() {
    let folder = common::folder(&[
        (
            "CoLA/train.tsv",
            "aa1\t1\t\tThe city is old.\naa1\t0\t*\tOld the is \"city.",
        ),
        ("CoLA/test.tsv", "index\tsentence\n7\tA river.\n"),
        (
            "MRPC/dev.tsv",
            "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t5\t6\tHe said \"no.\tHe said no.\r\n",
        ),
        (
            "QQP/train.tsv",
            "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n4\t1\t2\tWho?\tWho is it?\t1\n5\t1\t2\tWhy\n\n6\t1\t2\tA?\tB?\t0\n",
        ),
        (
            "MNLI/dev_mismatched.tsv",
            "index\tp\tq\tgenre\tb1\tb2\tp1\tp2\tsentence1\tsentence2\tlabel1\tgold_label\n0\t\t\t\t\t\t\t\tOne.\tTwo.\tneutral\tneutral\n1\t\t\t\t\t\t\t\tOne.\tTwo.\tneutral\t-\n",
        ),
        (
            "STS-B/dev.tsv",
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n0\tg\tf\t2012\t1\tn\tn\tOne.\tTwo.\t2.600\n",
        ),
        (
            "RTE/dev.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tOne.\tTwo.\tmaybe\n",
        ),
        (
            "WNLI/dev.tsv",
            "index\tsentence1\tsentence2\tlabel\n0\tOne.\tTwo.\n",
        ),
        (
            "diagnostic/diagnostic.tsv",
            "index\tsentence1\tsentence2\n0\tOne.\tTwo.",
        ),
    ]);
    let read = |task: GlueTask, split| task.read(folder.path(), split);
    let cola = read(GlueTask::Cola, Split::Train).expect("CoLA");
    assert_eq!(cola.texts[1], ("Old the is \"city.".to_owned(), None));
    assert!(matches!(&cola.labels, Some(ClassLabels::Classes(list)) if *list == [1, 0]));
    let test = read(GlueTask::Cola, Split::Test).expect("CoLA");
    assert_eq!(
        (
            test.texts.len(),
            test.ids[0].as_str(),
            test.labels.is_none()
        ),
        (1, "7", true)
    );
    let mrpc = read(GlueTask::Mrpc, Split::Dev).expect("MRPC");
    assert_eq!(
        mrpc.texts[0],
        ("He said \"no.".to_owned(), Some("He said no.".to_owned()))
    );
    let qqp = read(GlueTask::Qqp, Split::Train).expect("QQP");
    let skipped: Vec<String> = qqp
        .skipped
        .iter()
        .map(|one| format!("{} {}", one.place, one.why))
        .collect();
    assert_eq!((qqp.texts.len(), skipped.len()), (2, 2));
    assert!(
        skipped[0].ends_with("train.tsv, line 3 4 cells of 6"),
        "{skipped:?}"
    );
    let mnli = read(GlueTask::Mnli, Split::DevMismatched).expect("MNLI");
    assert_eq!((mnli.texts.len(), mnli.skipped.len()), (1, 1));
    assert!(matches!(&mnli.labels, Some(ClassLabels::Classes(list)) if *list == [2]));
    let stsb = read(GlueTask::StsB, Split::Dev).expect("STS-B");
    assert!(matches!(&stsb.labels, Some(ClassLabels::Values(list)) if *list == [2.6]));
    assert_eq!(read(GlueTask::Ax, Split::Test).expect("AX").texts.len(), 1);
    for (task, words) in [
        (
            GlueTask::Rte,
            "dev.tsv, line 2: expected a label of RTE (entailment, not_entailment), found \"maybe\"",
        ),
        (GlueTask::Wnli, "dev.tsv, line 2: expected 4 cells"),
        (GlueTask::Ax, "split: expected one that AX has"),
        (GlueTask::Sst2, "SST-2/dev.tsv"),
    ] {
        let error = read(task, Split::Dev).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
    }
    for task in GlueTask::ALL {
        assert_eq!(GlueTask::from_name(task.name()), Some(task));
    }
    assert_eq!(GlueTask::from_name("STS-B"), Some(GlueTask::StsB));
}

#[test]
fn metrics_have_the_names_of_run_glue() {
    let classes = Predictions::Classes(vec![1, 0, 1, 1]);
    let labels = ClassLabels::Classes(vec![1, 0, 0, 1]);
    let names = |task: GlueTask, found: &Predictions, labels: &ClassLabels| -> Vec<String> {
        task.metrics(found, labels).into_keys().collect()
    };
    assert_eq!(
        names(GlueTask::Cola, &classes, &labels),
        ["matthews_correlation"]
    );
    assert_eq!(names(GlueTask::Sst2, &classes, &labels), ["accuracy"]);
    let qqp = GlueTask::Qqp.metrics(&classes, &labels);
    assert_eq!(
        qqp.keys().collect::<Vec<_>>(),
        ["accuracy", "combined_score", "f1"]
    );
    assert_eq!(
        (qqp["accuracy"], qqp["f1"], qqp["combined_score"]),
        (0.75, 0.8, 0.775)
    );
    let values = Predictions::Values(vec![0.0, 1.0, 3.0]);
    let labels = ClassLabels::Values(vec![0.0, 2.0, 1.0]);
    let stsb = GlueTask::StsB.metrics(&values, &labels);
    assert_eq!(
        stsb.keys().collect::<Vec<_>>(),
        ["combined_score", "pearson", "spearmanr"]
    );
    assert!((stsb["spearmanr"] - 0.5).abs() < 1e-15);
}

#[test]
fn predictions_are_written_in_both_forms() {
    let folder = common::folder(&[
        (
            "MNLI/test_mismatched.tsv",
            "index\tp\tq\tg\tb1\tb2\tp1\tp2\tsentence1\tsentence2\n9\t\t\t\t\t\t\t\tOne.\tTwo.\n",
        ),
        (
            "STS-B/test.tsv",
            "index\tg\tf\ty\to\ts1\ts2\tsentence1\tsentence2\n3\tg\tf\t2012\t1\tn\tn\tOne.\tTwo.\n",
        ),
        ("SST-2/test.tsv", "index\tsentence\n7\tOne.\n"),
    ]);
    let write = |task: GlueTask, split, predictions: &Predictions| {
        let examples = task.read(folder.path(), split).expect("examples");
        task.write_predictions(folder.path(), split, &examples, predictions)
    };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file");
    write(
        GlueTask::Mnli,
        Split::TestMismatched,
        &Predictions::Classes(vec![2]),
    )
    .expect("written");
    assert_eq!(
        read("predict_results_mnli-mm.txt"),
        "index\tprediction\n0\tneutral\n"
    );
    assert_eq!(read("MNLI-mm.tsv"), "index\tprediction\n9\tneutral\n");
    write(
        GlueTask::StsB,
        Split::Test,
        &Predictions::Values(vec![5.25]),
    )
    .expect("written");
    assert_eq!(
        read("predict_results_stsb.txt"),
        "index\tprediction\n0\t5.250\n"
    );
    assert_eq!(read("STS-B.tsv"), "index\tprediction\n3\t5.000\n");
    // The model's label is a word, the server's a number.
    let positive = Predictions::Classes(vec![1]);
    write(GlueTask::Sst2, Split::Test, &positive).expect("written");
    assert_eq!(
        read("predict_results_sst2.txt"),
        "index\tprediction\n0\tpositive\n"
    );
    assert_eq!(read("SST-2.tsv"), "index\tprediction\n7\t1\n");
    for wrong in [Predictions::Classes(vec![]), Predictions::Classes(vec![3])] {
        let error = write(GlueTask::Mnli, Split::TestMismatched, &wrong).expect_err("wrong");
        assert!(
            error.to_string().starts_with("predictions: expected"),
            "{error}"
        );
    }
}

const ARTICLE: &str = "{\"article\": \"The old city is on the river.\", \"questions\": [\"The city is _ .\", \"Where?\"], \"options\": [[\"old\", \"new\", \"bad\", \"short\"], [\"Rome\", \"Paris\", \"Italy\"]], \"answers\": [\"A\", \"C\"], \"id\": \"x.txt\"}";

#[test]
fn race_is_read_in_both_layouts() {
    let many = common::folder(&[
        ("high/10.txt", ARTICLE),
        ("high/9.txt", ARTICLE),
        ("middle/1.txt", ARTICLE),
    ]);
    let all = common::folder(&[("middle/all.txt", &format!("{ARTICLE}\n\n{ARTICLE}\n"))]);
    let many = ChoiceExamples::race(many.path()).expect("RACE");
    let all = ChoiceExamples::race(all.path()).expect("RACE");
    assert_eq!((many.questions.len(), all.questions.len()), (6, 4));
    assert_eq!(many.questions[2].level, Some(Level::High));
    let first = &all.questions[0];
    assert_eq!(first.choices[1], "The city is new .");
    assert_eq!(
        (
            all.questions[1].choices[2].as_str(),
            all.questions[1].answer
        ),
        ("Where? Italy", Some(2))
    );
    let wrong = common::folder(&[(
        "high/all.txt",
        &format!("{ARTICLE}\n{}", ARTICLE.replace("\"C\"", "\"D\"")),
    )]);
    let error = ChoiceExamples::race(wrong.path())
        .expect_err("three options")
        .to_string();
    assert!(
        error.contains("all.txt, line 2: expected an answer from A to C"),
        "{error}"
    );
    let empty = common::folder(&[]);
    assert!(ChoiceExamples::race(empty.path()).is_err());
}

#[test]
fn the_end_of_the_question_and_the_beginning_of_the_article_stay() {
    let folder = common::folder(&[("middle/1.txt", ARTICLE)]);
    let examples = ChoiceExamples::race(folder.path()).expect("RACE");
    let tokenizer = common::tokenizer();
    let ids = |text: &str| {
        let mut ids = Vec::new();
        tokenizer.encode_ids(text, false, &mut ids);
        ids
    };
    let (article, tail) = (
        ids("The old city is on the river."),
        ids("The city is new ."),
    );
    assert!(tail.len() > 3);
    let data = ChoiceDataset::new(&tokenizer, &examples, 3, &Encode::to(10)).expect("samples");
    let row = data.ids(0).nth(1).expect("a choice").to_vec();
    let expected = [&[2], &article[..4], &[3], &tail[tail.len() - 3..], &[3]].concat();
    assert_eq!(row, expected);
    assert_eq!(data.cut(), 2);
    let whole = ChoiceDataset::new(&tokenizer, &examples, 32, &Encode::to(100)).expect("samples");
    assert_eq!(whole.cut(), 0);
    // Questions with other numbers of choices never share a batch.
    assert_eq!((whole.group(0), whole.group(1)), (4, 3));
    let (inputs, labels) = whole.batch(&[1]).expect("a sample");
    assert_eq!(
        (inputs.batch, inputs.choices, labels),
        (3, Some(3), vec![2])
    );
    let types = inputs.token_type_ids.expect("types");
    assert_eq!(
        types.iter().position(|&kind| kind == 1),
        Some(article.len() + 2)
    );
}

#[test]
fn choices_are_read_from_json_lines() {
    let text = "{\"context\": \"One.\", \"ending0\": \"a\", \"ending1\": \"b\", \"label\": 1}\n{\"article\": \"Two.\", \"question\": \"Is _ ?\", \"options\": [\"x\", \"y\"], \"answer\": \"A\"}\n{\"text\": \"Three.\", \"choices\": [\"x\", \"y\"]}\n";
    let folder = common::folder(&[
        ("a.jsonl", text),
        ("b.jsonl", "\n{\"text\": \"x\", \"choices\": [\"x\"]}"),
    ]);
    let examples = ChoiceExamples::json_lines(&folder.path().join("a.jsonl")).expect("questions");
    let answers: Vec<_> = examples.questions.iter().map(|one| one.answer).collect();
    assert_eq!(answers, [Some(1), Some(0), None]);
    assert_eq!(examples.questions[1].choices, ["Is x ?", "Is y ?"]);
    let error = ChoiceExamples::json_lines(&folder.path().join("b.jsonl"))
        .expect_err("one choice")
        .to_string();
    assert!(
        error.contains("b.jsonl, line 2: expected choices"),
        "{error}"
    );
}

#[test]
fn tables_name_their_labels_and_refuse_others() {
    let folder = common::folder(&[
        (
            "train.csv",
            "text,label\n\"Good, \"\"old\"\" book.\",pos\nBad.,neg\n\n",
        ),
        (
            "dev.tsv",
            "id\tlabel\tsentence\n1\tneg\tA \"bad one.\n2\tnew\tHm.\n",
        ),
        (
            "many.jsonl",
            "{\"text\": \"a\", \"labels\": [\"y\", \"x\"]}\n{\"text\": \"b\", \"labels\": []}\n",
        ),
        ("many.csv", "sentence1,sentence2,labels\na,b,x; z\na,b,\n"),
        ("value.csv", "text,score\na,1.5\nb,many\n"),
        ("none.csv", "text\na\n"),
        ("short.csv", "text,label\na\n"),
    ]);
    let read =
        |name: &str, target| Table::read(&folder.path().join(name), &TableOptions::of(target));
    let train = read("train.csv", Target::Class).expect("a table");
    assert_eq!((train.len(), train.skipped().len()), (2, 1));
    let task = TableTask::of(&train).expect("two classes");
    assert_eq!(task.labels(), ["neg", "pos"]);
    let examples = task.examples(&train).expect("examples");
    assert_eq!(examples.texts[0].0, "Good, \"old\" book.");
    assert!(matches!(&examples.labels, Some(ClassLabels::Classes(list)) if *list == [1, 0]));
    let dev = read("dev.tsv", Target::Class).expect("a table");
    let error = task.examples(&dev).expect_err("a new label").to_string();
    assert!(
        error.contains(
            "dev.tsv, line 3: expected a label of the training data (neg, pos), found \"new\""
        ),
        "{error}"
    );
    let none = read("none.csv", Target::Class).expect("a table");
    assert!(task.examples(&none).expect("texts").labels.is_none());
    assert!(TableTask::of(&none).is_err());

    let many = read("many.jsonl", Target::Labels(';')).expect("a table");
    let task = TableTask::of(&many).expect("two labels");
    let labels = task.examples(&many).expect("examples").labels;
    assert!(matches!(&labels, Some(ClassLabels::Values(list)) if *list == [1.0, 1.0, 0.0, 0.0]));
    let cells = read("many.csv", Target::Labels(';')).expect("a table");
    assert!(
        task.examples(&cells)
            .expect_err("z")
            .to_string()
            .contains("many.csv, line 2")
    );
    assert_eq!(TableTask::of(&cells).expect("labels").labels(), ["x", "z"]);
    assert!(
        read("many.jsonl", Target::Class).is_err(),
        "several labels at once"
    );

    let values = read("value.csv", Target::Value).expect("a table");
    let task = TableTask::of(&values).expect("values");
    let error = task.examples(&values).expect_err("no number").to_string();
    assert!(
        error.contains("value.csv, line 3: expected a number, found \"many\""),
        "{error}"
    );
    let error = read("short.csv", Target::Class)
        .expect_err("one cell")
        .to_string();
    assert!(
        error.contains("short.csv, line 2: expected 2 cells"),
        "{error}"
    );
}

#[test]
fn long_pairs_are_cut_and_counted() {
    let text = "index\tsentence1\tsentence2\tlabel\n0\tThe old city is on the river.\tA city.\tentailment\n1\tOne.\tTwo.\tnot_entailment\n";
    let folder = common::folder(&[("RTE/dev.tsv", text)]);
    let examples = GlueTask::Rte.read(folder.path(), Split::Dev).expect("RTE");
    let data = GlueTask::Rte
        .dataset(&common::tokenizer(), &examples, &Encode::to(10))
        .expect("samples");
    assert_eq!((data.cut(), data.tokens(0)), (1, 10));
    let (inputs, labels) = data.batch(&[1, 0]).expect("samples");
    assert!(matches!(labels, ClassLabels::Classes(list) if list == [1, 0]));
    assert_eq!((inputs.batch, inputs.length), (2, 10));
    let (ids, types) = (inputs.input_ids, inputs.token_type_ids);
    let (ids, types) = (ids.expect("ids"), types.expect("types"));
    // [CLS] first [SEP] second [SEP] and padding: type 1 from behind the first [SEP] to the second.
    for (row, kinds) in ids.chunks(10).zip(types.chunks(10)) {
        let ends: Vec<usize> = (0..10).filter(|&i| row[i] == 3).collect();
        let expected = |i: usize| i64::from(i > ends[0] && i <= ends[1]);
        assert_eq!(kinds, (0..10).map(expected).collect::<Vec<_>>());
    }
    let error = GlueTask::Rte.dataset(&common::tokenizer(), &examples, &Encode::to(3));
    assert!(error.is_err(), "no room");
}
