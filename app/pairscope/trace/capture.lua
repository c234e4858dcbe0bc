-- Takes apart the packets of 'pairscope record --capture': docs/recorder.md, "The capture".
--
--     tshark -X lua_script:capture.lua -r messages.pcapng
--     wireshark -X lua_script:capture.lua messages.pcapng

local pairscope = Proto("pairscope", "Pairscope message")
local KINDS = { [1] = "socket of AF_UNIX", [2] = "pipe" }
local PROOFS = { [0] = "none", [1] = "kcmp of both numbers", [2] = "kcmp with a duplicate taken in flight" }

local f = {
  version = ProtoField.uint8("pairscope.version", "Version"),
  kind = ProtoField.uint8("pairscope.kind", "Kind", base.DEC, KINDS),
  step = ProtoField.uint32("pairscope.step", "Step"),
  sender = ProtoField.uint32("pairscope.sender.pid", "Sender's pid"),
  sender_name = ProtoField.string("pairscope.sender.name", "Sender"),
  receiver = ProtoField.uint32("pairscope.receiver.pid", "Receiver's pid"),
  receiver_name = ProtoField.string("pairscope.receiver.name", "Receiver"),
  inode = ProtoField.uint64("pairscope.inode", "Inode of the sender's end"),
  peer = ProtoField.uint64("pairscope.peer", "Inode of the other end"),
  bytes = ProtoField.uint32("pairscope.bytes", "Bytes"),
  fds = ProtoField.uint16("pairscope.fds", "Descriptors"),
  fd = ProtoField.none("pairscope.fd", "Descriptor"),
  sent_as = ProtoField.int32("pairscope.fd.sent_as", "Sender's number"),
  received_as = ProtoField.int32("pairscope.fd.received_as", "Receiver's number"),
  proof = ProtoField.uint8("pairscope.fd.proof", "Proof", base.DEC, PROOFS),
  object = ProtoField.string("pairscope.fd.object", "Object"),
  creds_pid = ProtoField.int32("pairscope.creds.pid", "SCM_CREDENTIALS pid"),
  creds_uid = ProtoField.uint32("pairscope.creds.uid", "SCM_CREDENTIALS uid"),
  creds_gid = ProtoField.uint32("pairscope.creds.gid", "SCM_CREDENTIALS gid"),
  data = ProtoField.bytes("pairscope.data", "Bytes that were kept"),
}
for _, field in pairs(f) do table.insert(pairscope.fields, field) end

local FIXED = 44

function pairscope.dissector(buffer, pinfo, tree)
  if buffer:len() < FIXED or buffer(0, 2):string() ~= "PS" then return 0 end
  local head = buffer(4, 4):le_uint()
  local all = tree:add(pairscope, buffer())
  local at = FIXED
  local function text(node, field)
    local length = buffer(at, 2):le_uint()
    local value = length > 0 and buffer(at + 2, length):string() or ""
    if length > 0 then node:add(field, buffer(at + 2, length), value) end
    at = at + 2 + length
    return value
  end
  all:add(f.version, buffer(2, 1))
  all:add(f.kind, buffer(3, 1))
  all:add_le(f.step, buffer(8, 4))
  all:add_le(f.sender, buffer(12, 4))
  all:add_le(f.receiver, buffer(16, 4))
  all:add_le(f.inode, buffer(20, 8))
  all:add_le(f.peer, buffer(28, 8))
  all:add_le(f.bytes, buffer(36, 4))
  all:add_le(f.fds, buffer(40, 2))
  local sender, receiver = text(all, f.sender_name), text(all, f.receiver_name)
  for _ = 1, buffer(42, 2):le_uint() do
    all:add_le(f.creds_pid, buffer(at, 4))
    all:add_le(f.creds_uid, buffer(at + 4, 4))
    all:add_le(f.creds_gid, buffer(at + 8, 4))
    at = at + 12
  end
  local passed = {}
  for _ = 1, buffer(40, 2):le_uint() do
    local node = all:add(f.fd, buffer(at, 9))
    local from, to = buffer(at, 4):le_int(), buffer(at + 4, 4):le_int()
    node:add_le(f.sent_as, buffer(at, 4))
    node:add_le(f.received_as, buffer(at + 4, 4))
    node:add(f.proof, buffer(at + 8, 1))
    at = at + 9
    local object = text(node, f.object)
    node:append_text(string.format(": %d to %s, %s", from, to < 0 and "?" or to, object))
    table.insert(passed, string.format("%d>%s", from, to < 0 and "?" or to))
  end
  if buffer:len() > head then all:add(f.data, buffer(head)) end
  pinfo.cols.protocol = "PAIRSCOPE"
  pinfo.cols.src = string.format("%s %d", sender, buffer(12, 4):le_uint())
  pinfo.cols.dst = receiver ~= "" and string.format("%s %d", receiver, buffer(16, 4):le_uint()) or string.format("inode %s", tostring(buffer(28, 8):le_uint64()))
  pinfo.cols.info = string.format("%d bytes%s", buffer(36, 4):le_uint(), #passed > 0 and ", descriptors " .. table.concat(passed, " ") or "")
  return buffer:len()
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, pairscope)
