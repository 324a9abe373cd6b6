"""The scripts that make each verb one atomic step in Redis.

A value is a hash: ``value``, ``version``, ``by`` (the token of the write that made it so) and, where it is indexed,
what the store needs to find its index entries. The token is what a caller whose answer was lost is known by when it
asks a second time: the same write is carried out once, however often it is sent (see :mod:`.calls`). A value that was
taken leaves a mark for the same reason: ``taken``, ``was`` (its version) and ``by``, for a moment, which no other
verb sees.
"""

from hashlib import sha1
from typing import Final

#: For how long a taken value is kept for its taker, whose answer may be lost (ms). Longer than a call can take.
MARK_LIFETIME: Final = 15_000

#: What a replace returns for a key that is gone or further on: asked twice, that may be our own doing or not.
GONE_ON: Final = -1

# An index is a sorted set of members by expiry, which lives as long as its longest-lived member.
_ENTER_INDEX = """
local function enter(index, member, ttl)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now)
  redis.call('ZADD', index, now + ttl, member)
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, ttl) end
end
"""
# KEYS: value. ARGV: ttl in ms, value, token, … Returns 0 when the key is held by another's value.
_PUT_VALUE = """
local held = redis.call('HMGET', KEYS[1], 'value', 'by')
if held[1] then return held[2] == ARGV[3] and 1 or 0 end
if held[2] then redis.call('DEL', KEYS[1]) end
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', 1, 'by', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""
# KEYS: value. ARGV: ttl in ms, value, token, expected version, new version, … Returns 1 when it is done or was done by
# this same write, 0 when another write has done this step, or GONE_ON. `held` has what
# FIELDS names behind version and token.
_REPLACE_VALUE = """
local held = redis.call('HMGET', KEYS[1], 'version', 'by'FIELDS)
if held[1] ~= ARGV[4] then
  if held[1] ~= ARGV[5] then return -1 end
  return held[2] == ARGV[3] and 1 or 0
end
"""
_SET_VALUE = """
redis.call('HSET', KEYS[1], 'value', ARGV[2], 'version', ARGV[5], 'by', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
"""

# --- One server: a value and its indexes in one step. Members of an index are keys. ---

# ARGV further: prefix of indexes, key, names of indexes…
PUT: Final = (
    _ENTER_INDEX
    + _PUT_VALUE
    + """
if #ARGV > 5 then
  local names = {unpack(ARGV, 6)}
  redis.call('HSET', KEYS[1], 'indexes', cjson.encode(names))
  for _, name in ipairs(names) do enter(ARGV[4] .. name, ARGV[5], tonumber(ARGV[1])) end
end
return 1
"""
)
# ARGV further: prefix of indexes, key, [channel, message]
REPLACE: Final = (
    _ENTER_INDEX
    + _REPLACE_VALUE.replace("FIELDS", ", 'indexes'")
    + _SET_VALUE
    + """
if held[3] then
  for _, name in ipairs(cjson.decode(held[3])) do enter(ARGV[6] .. name, ARGV[7], tonumber(ARGV[1])) end
end
if ARGV[8] then redis.call('PUBLISH', ARGV[8], ARGV[9]) end
return 1
"""
)
# KEYS: value. ARGV: token, whether to keep the value for a repeated question, ms to keep the mark, prefix of
# indexes, key
TAKE: Final = """
local held = redis.call('HMGET', KEYS[1], 'value', 'version', 'indexes', 'by', 'taken', 'was')
if not held[1] then
  if held[5] and held[4] == ARGV[1] then return {held[5], held[6]} end
  return false
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'taken', ARGV[2] == '1' and held[1] or '', 'was', held[2], 'by', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
if held[3] then
  for _, name in ipairs(cjson.decode(held[3])) do redis.call('ZREM', ARGV[4] .. name, ARGV[5]) end
end
return {held[1], held[2]}
"""
# KEYS: index. ARGV: prefix of values. A key may be gone before its entry when Redis evicts under memory pressure.
FIND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local living = {}
for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('HEXISTS', ARGV[1] .. key, 'value') == 1 then living[#living + 1] = key end
end
return living
"""
# KEYS: buckets. ARGV: interval in µs and burst of each. Returns µs to wait. See memory.charge for the algorithm.
SPEND: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local longest = 0
for number, bucket in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * number - 1]), tonumber(ARGV[2 * number])
  local full_at = math.max(tonumber(redis.call('GET', bucket) or now), now)
  if full_at - now > burst * interval + 1000000 then full_at = now end
  local wait = full_at - now - (burst - 1) * interval
  if wait > 0 then
    longest = math.max(longest, wait)
  else
    full_at = full_at + interval
    redis.call('SET', bucket, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
  end
end
return longest
"""
# KEYS: counts. ARGV: slot, lowest and highest that count, limit, ttl in ms. Returns nothing when it is counted, else
# the first slot that counts any.
OCCUPY: Final = """
local lowest, highest = tonumber(ARGV[2]), tonumber(ARGV[3])
local held = redis.call('HGETALL', KEYS[1])
local taken, first = 0, highest
for n = 1, #held, 2 do
  local slot = tonumber(held[n])
  if slot < lowest or slot > highest then
    redis.call('HDEL', KEYS[1], held[n])
  else
    taken, first = taken + tonumber(held[n + 1]), math.min(first, slot)
  end
end
if taken >= tonumber(ARGV[4]) then return first end
redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return false
"""
# KEYS: counts. ARGV: slot.
VACATE: Final = """
local held = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if held > 1 then redis.call('HINCRBY', KEYS[1], ARGV[1], -1) else redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0
"""

# --- Cluster: each script touches one key. Members of an index are entries; see cluster_store. ---

# KEYS: index. ARGV: ttl in ms, entry.
ENTER: Final = _ENTER_INDEX + "enter(KEYS[1], ARGV[2], tonumber(ARGV[1])) return 1"
# ARGV further: [entry, indexes]
PUT_ALONE: Final = (
    _PUT_VALUE + "if ARGV[4] then redis.call('HSET', KEYS[1], 'entry', ARGV[4], 'indexes', ARGV[5]) end return 1"
)
# ARGV further: the entry that the caller has seen to (empty for none), whether there is a message, message. Returns
# entry and indexes when it is another one. The channel is called like the key, so that it is in the same slot.
REPLACE_ALONE: Final = (
    _REPLACE_VALUE.replace("FIELDS", ", 'entry', 'indexes'")
    + "if (held[3] or '') ~= ARGV[6] then return {held[3], held[4]} end"
    + _SET_VALUE
    + "if ARGV[7] then redis.call('SPUBLISH', KEYS[1], ARGV[7]) end return 1"
)
# KEYS: value. ARGV: token, whether to keep the value for a repeated question, ms to keep the mark
TAKE_ALONE: Final = """
local held = redis.call('HMGET', KEYS[1], 'value', 'version', 'entry', 'indexes', 'by', 'taken', 'was')
if not held[1] then
  if held[6] and held[5] == ARGV[1] then return {held[6], held[7]} end
  return false
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'taken', ARGV[2] == '1' and held[1] or '', 'was', held[2], 'by', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {held[1], held[2], held[3], held[4]}
"""
# KEYS: index.
ENTRIES: Final = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

#: By which Redis calls a script it knows.
SHA1: Final = {
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (
        PUT,
        REPLACE,
        TAKE,
        FIND,
        SPEND,
        OCCUPY,
        VACATE,
        ENTER,
        PUT_ALONE,
        REPLACE_ALONE,
        TAKE_ALONE,
        ENTRIES,
    )
}
