#!/usr/bin/env bash
# snowplow-analytics-sdk 0.1.0 (Node): transform makes JSON of an enriched event of Snowplow, a line
# with tabs. By the schema that all schemas of Iglu have to meet, the vendor of one can have
# letters, digits, points, hyphens and underscores. Iglu Central has 34 schemas of the vendor
# com.google.tag-manager.server-side. transform knows no hyphen there, and fails for the whole
# event, page, visitor and all, because of one context. In a schema's name it does know it, and
# leaves it in the key, so that add-to-cart and add_to_cart are two columns, while addToCart
# and add_to_cart are one.
#
# Expected: an event with a valid context is transformed.
# Seen, by the schema of the one context:
#   iglu:com.acme/user/jsonschema/1-0-0: contexts_com_acme_user_1
#   iglu:com.google.tag-manager.server-side/user_data/jsonschema/1-0-0: Wrong schema format.
#   iglu:com.acme/add-to-cart/jsonschema/1-0-0: contexts_com_acme_add-to-cart_1
#   iglu:com.acme/add_to_cart/jsonschema/1-0-0: contexts_com_acme_add_to_cart_1
#   iglu:com.acme/addToCart/jsonschema/1-0-0: contexts_com_acme_add_to_cart_1
#
# Needs Node.js 20 and npm. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --ignore-scripts --no-audit --no-fund snowplow-analytics-sdk@0.1.0
cat >main.js <<'EOF'
const { transform } = require('snowplow-analytics-sdk')

const columns = { app_id: 0, event: 5, event_id: 6, contexts: 52 }
function line (values) {
  const fields = Array(131).fill('')
  for (const [name, value] of Object.entries(values)) fields[columns[name]] = value
  return fields.join('\t')
}

const schemas = [
  'com.acme/user', 'com.google.tag-manager.server-side/user_data',
  'com.acme/add-to-cart', 'com.acme/add_to_cart', 'com.acme/addToCart'
].map((name) => `iglu:${name}/jsonschema/1-0-0`)
for (const schema of schemas) {
  const contexts = JSON.stringify({
    schema: 'iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-0',
    data: [{ schema, data: { id: '1' } }]
  })
  let seen
  try {
    const event = transform(line({ app_id: 'shop', event: 'page_view', event_id: '1', contexts }))
    seen = Object.keys(event).filter((key) => key.startsWith('contexts_')).join(', ')
  } catch (error) {
    seen = error.message
  }
  console.log(`${schema}: ${seen}`)
}
EOF
timeout 60 node main.js | tee seen
diff - seen <<'EOF'
iglu:com.acme/user/jsonschema/1-0-0: contexts_com_acme_user_1
iglu:com.google.tag-manager.server-side/user_data/jsonschema/1-0-0: Wrong schema format.
iglu:com.acme/add-to-cart/jsonschema/1-0-0: contexts_com_acme_add-to-cart_1
iglu:com.acme/add_to_cart/jsonschema/1-0-0: contexts_com_acme_add_to_cart_1
iglu:com.acme/addToCart/jsonschema/1-0-0: contexts_com_acme_add_to_cart_1
EOF
