#!/usr/bin/env bash
# Fine-tunes and pre-trains small models with 1, 2 and 4 processes of mpirun and compares the results byte by byte; kills a
# process, stops a run, starts processes that differ, and goes on with another number. Needs Open MPI and an `albert` with the
# feature `mpi`:
#   cargo build --release --features mpi && tools/mpi_check.sh target/release/albert
set -euo pipefail
albert=$(realpath "${1:?usage: tools/mpi_check.sh ALBERT}")
model=$(realpath "$(dirname "$0")/../fixtures/demo")
home=$(mktemp -d)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -rf "$home"' EXIT
cd "$home"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

words=(the of city capital river book good bad long short new old)
printf 'text\tlabel\n' > train.tsv
for ((i = 0; i < 200; i++)); do
    line=${words[i % 12]}
    for ((j = 0; j < i % 9; j++)); do line+=" ${words[(i * 7 + j * 5) % 12]}"; done
    printf '%s\t%s\n' "$line" "$((i * 7 % 3))" >> train.tsv
done

# flags OUTPUT STEPS: batches of 30, 30, 30, 30, 30, 30 and 20 samples, in 8 parts.
flags() {
    echo "finetune classification --model $model --train-file train.tsv --output $1 --max-steps $2 --batch-size 30 --parts 8 \
--dropout 0.1 --learning-rate 1e-3 --save steps --save-steps 20 --keep 1 --threads 1"
}
start=(mpirun --oversubscribe -np)
same() { cmp "$1/model.safetensors" "$2/model.safetensors" && echo "ok: $1 and $2 are equal"; }
# expect CODE WORDS FILE: how a command ended, and what it said.
expect() {
    [[ $code == "$1" ]] || { echo "expected exit code $1, found $code"; cat "$3"; exit 1; }
    grep -q "$2" "$3" || { echo "expected '$2' in"; cat "$3"; exit 1; }
    echo "ok: exit code $code, $(grep -m 1 "$2" "$3")"
}
checkpoint() { until compgen -G "$1/checkpoint-*" > /dev/null; do sleep 0.05; done; }

"$albert" $(flags alone 60) --quiet
for n in 1 2 4; do
    "${start[@]}" "$n" "$albert" $(flags "np$n" 60) 2> "np$n.err"
    same alone "np$n"
    grep 'processes; per step' "np$n.err" || [[ $n == 1 ]]
done

# Pre-training: both losses, LAMB, a cache of tokens that rank 0 makes for all.
pretrain() {
    echo "pretrain $model/../pretrain/corpus.txt --tokenizer $model --config $model/../pretrain/config.json --output $1 \
--max-seq-length 64 --max-steps 20 --batch-size 32 --parts 8 --held-out 0.2 --eval-steps 10 --threads 1"
}
"$albert" $(pretrain words) --quiet
for n in 1 2 4; do
    "${start[@]}" "$n" "$albert" $(pretrain "words$n") 2> "words$n.err"
    same words "words$n"
    grep 'processes; per step' "words$n.err" || [[ $n == 1 ]]
done

"$albert" $(flags long 1500) --quiet
# A process that is killed ends all.
"${start[@]}" 4 "$albert" $(flags killed 1500) 2> killed.err &
mpirun=$!
checkpoint killed
kill -9 "$(pgrep -P "$mpirun" -n albert)"
code=0; wait "$mpirun" || code=$?
expect 137 "signal 9" killed.err
# A signal that mpirun passes on stops all after a checkpoint; two processes had gone on.
"${start[@]}" 2 "$albert" $(flags killed 1500) 2> stopped.err &
mpirun=$!
until grep -qs "going on" stopped.err; do sleep 0.05; done
sleep 0.5
kill -USR1 "$mpirun"
code=0; wait "$mpirun" || code=$?
expect 130 "stopped at step" stopped.err
"${start[@]}" 1 "$albert" $(flags killed 1500) 2> /dev/null
same long killed

# Processes that differ, and too few parts.
code=0; "${start[@]}" 1 "$albert" $(flags apart 60) : -np 1 "$albert" $(flags apart 60) --seed 7 2> apart.err || code=$?
expect 1 "rank 1 has other options than rank 0" apart.err
code=0; "${start[@]}" 2 "$albert" $(flags few 60 | sed 's/--parts 8/--parts 1/') 2> few.err || code=$?
expect 1 "parts: expected at least 2" few.err
# A file that one process lacks.
code=0; "${start[@]}" 1 "$albert" $(flags lacks 60) : -np 1 "$albert" $(flags lacks 60 | sed 's/train.tsv/none.tsv/') 2> lacks.err || code=$?
expect 1 "rank 1 of 2" lacks.err
# Ctrl-C at mpirun: at worst the work since the last checkpoint is lost.
"${start[@]}" 2 "$albert" $(flags ended 1500) 2> ended.err &
mpirun=$!
checkpoint ended
kill -TERM "$mpirun"
code=0; wait "$mpirun" || code=$?
echo "mpirun at SIGTERM: exit code $code, $(ls -d ended/checkpoint-*)"
"${start[@]}" 2 "$albert" $(flags ended 1500) 2> /dev/null
same long ended
echo "all of it holds"
