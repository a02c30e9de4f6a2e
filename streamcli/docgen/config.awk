/^[ \t]*\[/ {
    gsub(/[][ \t"\047]|#.*/, "")
    n = split($0, part, ".")
    table = part[1]
    if (want != "alias" && table == want && n > 1 && !seen[part[2]]++) print part[2]
    next
}
want == "alias" && table == want && /^[^#]*=/ {
    sub(/[ \t]*=.*/, "")
    gsub(/^[ \t]*["\047]?|["\047]$/, "")
    print
}
