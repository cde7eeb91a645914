oms() {  # method, path with query, body or @file, type of the body
  local now digest signature
  now=$(date +%s)
  case "${3:-}" in
    @*) digest=$(openssl dgst -sha256 -r "${3#@}") ;;
    *) digest=$(printf %s "${3:-}" | openssl dgst -sha256 -r) ;;
  esac
  signature=$(printf '%s\n%s\n%s\n%s' "$now" "$1" "$2" "${digest%% *}" | openssl dgst -sha256 -hmac "$OMS_SECRET" -r)
  curl -sS -X "$1" "$URL$2" \
    -H "X-OMS-Key: $OMS_KEY" -H "X-OMS-Timestamp: $now" -H "X-OMS-Signature: v1=${signature%% *}" \
    ${3:+-H "Content-Type: ${4:-application/json}" --data-binary "$3"}
}
