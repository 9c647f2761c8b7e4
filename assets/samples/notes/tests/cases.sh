# Counts cases, writes a JUnit report, and says the verdict in the last line. Sourced by the tests.
REPORT=${REPORT:-/tmp/report.xml}
passed=0 failed=0 cases=

# case NAME EXPECTED FOUND
case_is() {
    if [ "$2" = "$3" ]; then
        passed=$((passed + 1))
        echo "ok      $1"
        cases="$cases<testcase classname=\"notes\" name=\"$1\"/>"
    else
        failed=$((failed + 1))
        echo "FAILED  $1: expected '$2', found '$3'"
        cases="$cases<testcase classname=\"notes\" name=\"$1\"><failure message=\"another answer\"/></testcase>"
    fi
}

verdict() {
    echo "<testsuite name=\"notes\" tests=\"$((passed + failed))\" failures=\"$failed\">$cases</testsuite>" > "$REPORT"
    echo "$passed passed, $failed failed"
    if [ "$failed" = 0 ] && [ "$passed" -gt 0 ]; then
        echo 'Result: SUCCESS!'
    else
        echo 'Result: FAILURE'
        exit 1
    fi
}
