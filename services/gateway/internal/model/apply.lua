-- Writes one VM's newest state and what it is found by, unless a newer one stands there.
-- KEYS: upto, vms, found, refs
-- ARGV: ref, sequence (20 digits), state, what it is found by (key TAB member, one a line), must ("1": only if upto is there)
local upto = redis.call('GET', KEYS[1])
if ARGV[5] == '1' and not upto then
  return 0
end
local present = redis.call('HGET', KEYS[2], ARGV[1])
if not present or string.sub(present, 1, 20) < ARGV[2] then
  local old = redis.call('HGET', KEYS[3], ARGV[1])
  if old then
    for line in string.gmatch(old, '[^\n]+') do
      local key, member = string.match(line, '^([^\t]*)\t(.*)$')
      redis.call('ZREM', key, member)
    end
  end
  for line in string.gmatch(ARGV[4], '[^\n]+') do
    local key, member = string.match(line, '^([^\t]*)\t(.*)$')
    redis.call('ZADD', key, 0, member)
  end
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ARGV[3])
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[4])
  redis.call('ZADD', KEYS[4], 0, ARGV[1])
end
if upto and upto < ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2])
end
return 1
