#!/bin/sh
# Folds the example network and proves it, with the commands that a user would type, in a copy of
# this folder. Of what they print, the lines that matter are shown.
#
# Run by `make demo`. Needs bnfold[opencv] on PATH, and no Caffe.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp -R "$(dirname "$0")/." "$folder"
cd "$folder"

# Prints a command, runs it, and prints those of its lines that match an expression.
show() {
  lines=$1
  shift
  printf '\n$ bnfold %s\n' "$*"
  output=$(bnfold "$@")
  printf '%s\n' "$output" | grep -E "$lines"
}

files='--model deploy.prototxt --weights digits.caffemodel'

# shellcheck disable=SC2086 # The two files are four words.
{
  show '^(folded|layers) ' merge $files

  printf '\n$ diff -u deploy.prototxt deploy.folded.prototxt\n'
  diff -u deploy.prototxt deploy.folded.prototxt >changes || [ $? -eq 1 ]
  awk 'NR > 2 && /^@@/ { places++ } places == 1' changes
  echo "... and so on: $(grep -c '^@@' changes) places, $(grep -c '^-[^-]' changes) lines go," \
    "$(grep -c '^+[^+]' changes) come"

  show '^same function' verify $files --runtime opencv
  show '^(top-1|same answer) ?' accuracy $files --runtime opencv \
    --images val.txt --preprocess preprocess.toml
  show '^(fusion|time)' bench $files --runtime opencv --threads 1 --seconds 2
}
