#!/bin/sh
# A small portal without Kafka: portal.sh ask | withdraw | move | correct | accept | decline | hear | sign
# HTTP needs no signature but a token. `sign` makes one with openssl, for those who send by kcat.
set -eu

agent_id=${AGENT_ID:-EX-1}
address=$(printf %s "$agent_id" | tr A-Z a-z)@ville-exemple.fr
answers=${ANSWERS:-[]}

# post TYPE DATA: send a request and print its ce_id, once Parcours has it.
post() {
    id=$(cat /proc/sys/kernel/random/uuid)
    # Sent again with the same ce-id it is the same request: curl may try as often as it likes.
    said=$(curl -sS --fail-with-body --retry 3 "$ENROLMENT_URL/api/v1/events" \
        -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
        -H 'ce-specversion: 1.0' -H "ce-id: $id" -H "ce-source: /portals/$PORTAL" -H "ce-type: fr.cnfpt.portal.$1.v1" \
        --data-binary "{$2}") || { echo "$said" >&2; exit 1; }
    echo "$id"
}

# About a session: post TYPE DATA, with its id.
about_session() {
    post "$1" '"session_id": "'"$SESSION_ID"'", '"$2"
}

# Print each answer as it comes; `next` is where to go on, and a real portal keeps it.
hear() {
    : "${ENROLMENT_URL:?where Parcours is}" "${TOKEN:?the token of the portal}"
    after=${AFTER:-0}
    while :; do
        page=$(curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" \
            "$ENROLMENT_URL/api/v1/answers?after=$after&wait=20") || { echo "$page" >&2; sleep 1; continue; }
        printf %s "$page" | jq -r '.items[] | "\(.type) \(.data)"'
        after=$(printf %s "$page" | jq -r .next)
    done
}

# sign CE_ID CE_TYPE CE_TIME <VALUE: print the ce_signature of a record whose value is read from standard input.
sign() {
    key=$(printf %s "${SECRET#whsec_}" | base64 -d | od -An -vtx1 | tr -d ' \n')
    printf 'v1,'
    { printf 'v1\n%s\n%s\n%s\n%s\n%s\n' "$KEY_ID" "$1" "/portals/$PORTAL" "$2" "$3"; cat; } |
        openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64
}

case ${1:-} in
    ask) about_session EnrolmentRequested '"agent": {"agent_id": "'"$agent_id"'", "email": "'"$address"'", "given_name": "Zoé",
        "family_name": "Durand", "function": "agent",
        "employer": {"siret": "21350238800019", "name": "Ville de Rennes", "delegation": "bretagne"}}, "approval": null, "answers": '"$answers" ;;
    withdraw) about_session WithdrawalRequested '"agent_id": "'"$agent_id"'"' ;;
    move) about_session SessionSwapRequested '"agent_id": "'"$agent_id"'", "to_session_id": "'"$TO_SESSION_ID"'", "answers": '"$answers" ;;
    correct) post AgentCorrected '"agent_id": "'"$agent_id"'", "email": "'"${EMAIL:?the address from now on}"'"' ;;
    accept) about_session SeatOfferAnswered '"agent_id": "'"$agent_id"'", "accepted": true' ;;
    decline) about_session SeatOfferAnswered '"agent_id": "'"$agent_id"'", "accepted": false' ;;
    hear) hear ;;
    sign) shift; sign "$@" ;;
    *) echo 'portal.sh ask | withdraw | move | correct | accept | decline | hear | sign' >&2; exit 2 ;;
esac
