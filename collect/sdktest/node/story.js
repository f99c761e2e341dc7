// What every SDK is told to send: the same as story in sdk_test.go.
'use strict'

const timestamp = new Date('2026-03-02T09:40:00.358Z')
const userId = 'sdk-user'

exports.identify = { userId, traits: { email: 'ada@example.com', address: { city: 'London' } }, timestamp }
exports.page = { userId, name: 'Pricing', properties: { category: 'Shop', path: '/pricing' }, timestamp }
exports.screen = { userId, name: 'Cart', properties: { items: 3 }, timestamp }
exports.track = {
  userId,
  event: 'Order Completed',
  properties: {
    order_id: 'o-17',
    revenue: 25.5,
    gift: true,
    products: [{ sku: 'MUG-1', price: 6.25 }, { sku: 'TEE-4', price: 7.5 }]
  },
  timestamp
}
exports.group = { userId, groupId: 'g-1', traits: { name: 'Engines' }, timestamp }
exports.alias = { userId, previousId: 'sdk-visitor', timestamp }
exports.calls = ['identify', 'page', 'screen', 'track', 'group', 'alias']
