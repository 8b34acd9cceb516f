#!/usr/bin/env bash
# Says report.md on the pull request, for action.yml: in one comment, which later runs write over.
set -euo pipefail
out="${CHURN_OUT:-churn-report}"
mark="<!-- churn report -->"
place="repos/$GITHUB_REPOSITORY/issues"

body="$(mktemp)"
{
  echo "$mark"
  if [[ -f "$out/report.md" ]]; then
    cat "$out/report.md" # which is never longer than a comment may be
  else
    echo "The comparison of predictions broke; the job's log says why."
  fi
} > "$body"

before="$(gh api --paginate "$place/$CHURN_PULL_REQUEST/comments" \
  --jq ".[] | select(.body | startswith(\"$mark\")) | .id" | head -n 1)"
if [[ -n "$before" ]]; then
  gh api --method PATCH "$place/comments/$before" --field "body=@$body" > /dev/null
else
  gh api --method POST "$place/$CHURN_PULL_REQUEST/comments" --field "body=@$body" > /dev/null
fi
