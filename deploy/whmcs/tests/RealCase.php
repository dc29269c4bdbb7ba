<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Record;
use WHMCS\Module\Server\Vmline\Server;

/**
 * A WHMCS in front of the real gateway with every service behind it. services/internal/whmcs starts them and tells
 * where they are.
 */
abstract class RealCase extends WhmcsCase
{
    /** Seconds that an operation may take, also on a machine that is busy. */
    private const PATIENCE = 60;

    /** Seconds that the gateway waits for the end of an operation. */
    private const WAIT = 20;

    protected function setUp(): void
    {
        if (getenv('VMLINE_URL') === false) {
            $this->markTestSkipped('no gateway: run go test ./services/internal/whmcs');
        }
        parent::setUp();
        $this->key('operate');
    }

    /** Uses the signing key with this scope. */
    protected function key(string $scope): void
    {
        $this->server(getenv('VMLINE_URL'), "whmcs-$scope", getenv('VMLINE_SECRET_' . strtoupper($scope)), getenv('VMLINE_FINGERPRINT'));
    }

    protected function gateway(): Gateway
    {
        return Gateway::at(Server::fromId(self::SERVER));
    }

    /**
     * What the gateway shows of the service.
     *
     * @return array<string,mixed>
     */
    protected function machine(int $serviceId = self::SERVICE): array
    {
        return $this->gateway()->service($this->ref($serviceId));
    }

    /**
     * Calls a function of the module that must be accepted, and returns the service once the operation has ended and
     * the feed has told so.
     *
     * @param array<string,mixed> $more params
     * @return array<string,mixed>
     */
    protected function done(string $function, array $more = [], string $status = 'succeeded', int $serviceId = self::SERVICE): array
    {
        $this->assertSame('success', ('vmline_' . $function)($this->params($more, $serviceId)), $function);
        $this->ended($status, $serviceId, $function);
        return $this->machine($serviceId);
    }

    /** Waits until the operation that WHMCS asked for last has ended so, and the feed has told it. */
    protected function ended(string $status = 'succeeded', int $serviceId = self::SERVICE, string $what = ''): void
    {
        $id = Record::find($serviceId)->ordered;
        $end = time() + self::PATIENCE;
        do {
            $operation = $this->gateway()->get('/v1/operations/' . rawurlencode($id), ['wait' => self::WAIT], self::WAIT + 10.0);
            $over = in_array($operation['status'], ['succeeded', 'parked', 'refused', 'interrupted'], true);
        } while (!$over && time() < $end);
        $this->assertSame($status, $operation['status'], $what . json_encode($operation));
        $this->feed()->pull();
    }

    /** A call of Proxmox's API, as somebody else makes it: the simulator in Proxmox's place. */
    protected function proxmox(string $method, string $path, array $values = []): mixed
    {
        $handle = curl_init(getenv('VMLINE_PROXMOX') . '/api2/json' . $path);
        curl_setopt_array($handle, [CURLOPT_CUSTOMREQUEST => $method, CURLOPT_RETURNTRANSFER => true, CURLOPT_POSTFIELDS => http_build_query($values),
            CURLOPT_HTTPHEADER => ['Authorization: PVEAPIToken=' . getenv('VMLINE_PROXMOX_TOKEN')]]);
        $answer = (string) curl_exec($handle);
        $this->assertSame(200, curl_getinfo($handle, CURLINFO_RESPONSE_CODE), "$method $path: $answer");
        return json_decode($answer, true)['data'];
    }

    /** Waits for the end of a task on Proxmox's first node, if it is one. */
    protected function finished(?string $task): void
    {
        while ($task !== null && $this->proxmox('GET', '/nodes/pve1/tasks/' . rawurlencode($task) . '/status')['status'] !== 'stopped') {
            usleep(10000);
        }
    }

    /** The configuration of the service's machine on Proxmox. */
    protected function hardware(int $serviceId = self::SERVICE): array
    {
        $machine = $this->machine($serviceId);
        return $this->proxmox('GET', "/nodes/$machine[node]/qemu/$machine[vmid]/config");
    }

    /** The name to which an address leads at the name server. */
    protected function reverse(string $address): string
    {
        $labels = [...array_reverse(explode('.', $address)), 'in-addr', 'arpa'];
        $question = implode('', array_map(static fn (string $l): string => chr(strlen($l)) . $l, $labels)) . "\0\0\x0c\0\1";
        $socket = stream_socket_client('udp://' . getenv('VMLINE_NAMESERVER'));
        stream_set_timeout($socket, 10);
        fwrite($socket, "\0\7\0\0\0\1\0\0\0\0\0\0" . $question);
        $answer = (string) fread($socket, 512);
        $record = substr($answer, 12 + strlen($question)); // after the header and the question
        $owner = ord($record[0] ?? "\0") >= 192 ? 2 : strlen($question) - 4; // a pointer to the question's name, or the name again
        $value = substr($record, $owner + 10); // after type, class, time to live and length
        for ($name = []; $value !== '' && $value[0] !== "\0" && ord($value[0]) < 64; $value = substr($value, 1 + ord($value[0]))) {
            $name[] = substr($value, 1, ord($value[0]));
        }
        return implode('.', $name);
    }
}
