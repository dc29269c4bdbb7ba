<?php

namespace Vmline\Tests;

use WHMCS\Database\Capsule;
use WHMCS\Module\Server\Vmline\Caller;
use WHMCS\Module\Server\Vmline\Gateway;
use WHMCS\Module\Server\Vmline\Server;
use WHMCS\Module\Server\Vmline\TransportFailure;

/**
 * What the module sends, and what it makes of a gateway that is slow, away, or none at all.
 */
final class GatewayTest extends WhmcsCase
{
    private FakeGateway $fake;

    protected function setUp(): void
    {
        parent::setUp();
        $this->fake = new FakeGateway();
        $this->server($this->fake->url, 'whmcs-1');
    }

    protected function tearDown(): void
    {
        $this->fake->close();
    }

    public function testAnOrderIsOneSignedCall(): void
    {
        $this->answers('PUT', '', ['status' => 202, 'body' => ['id' => 'op-1', 'status' => 'accepted']]);
        $this->assertSame('success', vmline_CreateAccount($this->params()));
        [$request] = $this->fake->requests();
        $this->assertSame(['PUT', '/v1/services/' . $this->ref()], [$request['method'], $request['target']]);
        $package = json_decode($request['body'], true);
        $this->assertSame(self::PASSWORD, $package['cloud_init']['password']);
        $this->assertSignature($request);
        $this->assertNoSecretIsKept();
        $this->assertSame('op-1', Capsule::table('mod_vmline_services')->value('operation'));
    }

    public function testAnOrderThatIsRepeatedIsTheSameOrder(): void
    {
        Capsule::table('tblproducts')->update(['configoption8' => 'vm-{random_letters:8}', 'configoption19' => '']);
        Capsule::table('tblhosting')->update(['password' => '']);
        $this->answers('PUT', '', ['status' => 202, 'body' => ['id' => 'op-1', 'status' => 'accepted']]);
        foreach ([1, 2] as $i) {
            $this->assertSame('success', vmline_CreateAccount($this->params()));
        }
        [$first, $second] = $this->fake->requests();
        $this->assertSame($first['body'], $second['body']);
        $package = json_decode($first['body'], true);
        $this->assertSame(20, strlen($package['cloud_init']['password']));
        $this->assertSame($package['cloud_init']['password'], decrypt($this->hosting()->password), 'WHMCS keeps what was made');
    }

    public function testAnAccountByRuleIsChosenOnce(): void
    {
        Capsule::table('tblproducts')->update(['configoption19' => 'adm{random_digits:9}']);
        $this->answers('PUT', '', ['status' => 202, 'body' => ['id' => 'op-1', 'status' => 'accepted']]);
        foreach ([1, 2] as $i) {
            $this->assertSame('success', vmline_CreateAccount($this->params()));
        }
        $users = array_map(static fn (array $request): string => json_decode($request['body'], true)['cloud_init']['user'], $this->fake->requests());
        $this->assertMatchesRegularExpression('/^adm\d{9}$/', $users[0]);
        $this->assertSame($users[0], $users[1]);
    }

    public function testWhatAnAdminEnteredGoesWithItsButtonOnce(): void
    {
        $this->answers('POST', '/actions', ['status' => 202, 'body' => ['id' => 'op-2', 'status' => 'accepted']]);
        vmline_Start($this->params());
        $_REQUEST['modulefields'] = ['vmline_vmid' => ' 4711 ', 'vmline_node' => 'pve3', 'vmline_template' => ['no text']];
        vmline_AdminServicesTabFieldsSave($this->params());
        vmline_Start($this->params());
        $this->assertArrayNotHasKey('params', $this->lastBody(), 'Start takes nothing');
        vmline_Adopt($this->params());
        $this->assertSame(['vmid' => 4711], $this->lastBody()['params']);
        vmline_Migrate($this->params());
        $this->assertArrayNotHasKey('params', $this->lastBody(), 'it was used up');
        unset($_REQUEST['modulefields']);
    }

    public function testOtherCommands(): void
    {
        $this->answers('POST', '/actions', ['status' => 202, 'body' => ['id' => 'op-2', 'status' => 'accepted']]);
        vmline_SuspendAccount($this->params(['suspendreason' => 'Overdue']));
        $this->assertSame(['type' => 'suspend', 'params' => ['reason' => 'Overdue']], $this->lastBody());
        vmline_UnsuspendAccount($this->params());
        $this->assertSame(['type' => 'unsuspend'], $this->lastBody());
        vmline_ChangePassword($this->params(['password' => 'new&amp;pl4nted-R00t']));
        $this->assertSame(['type' => 'change_password', 'params' => ['password' => 'new&pl4nted-R00t']], $this->lastBody());
        $this->assertNoSecretIsKept();
    }

    public function testTerminateOfWhatNeverWas(): void
    {
        $problem = ['type' => 'urn:vmline:problem:not-found', 'title' => 'Not Found', 'detail' => 'There is no VM with this ref.'];
        $this->answers('DELETE', '', ['status' => 404, 'body' => $problem]);
        $this->assertSame('success', vmline_TerminateAccount($this->params()));
        $this->answers('DELETE', '', ['status' => 404, 'raw' => '<h1>nginx</h1>']);
        $this->assertStringContainsString('not the vmline gateway', vmline_TerminateAccount($this->params()), 'a proxy knows nothing of machines');
    }

    public function testALostAnswerIsAskedForAgainUnderTheSameKey(): void
    {
        $this->answers('PUT', '', ['delay' => 1.5, 'status' => 202, 'body' => ['id' => 'late']], ['status' => 202, 'body' => ['id' => 'op-1']]);
        $operation = $this->call('PUT', 2.0);
        $this->assertSame('op-1', $operation['id']);
        [$first, $second] = $this->fake->requests();
        $this->assertSame($first['headers']['idempotency-key'], $second['headers']['idempotency-key']);
        $this->assertSame($first['body'], $second['body']);
        $this->assertNotSame($first['headers']['signature-input'], $second['headers']['signature-input'], 'a nonce is used once');
        $this->assertSignature($second);
    }

    public function testOneThatAsksTooMuchComesBackAsItIsTold(): void
    {
        $many = ['status' => 429, 'headers' => ['Retry-After' => '1'], 'body' => ['type' => 'x', 'title' => 'Too Many Requests']];
        $this->answers('PUT', '', $many, ['status' => 202, 'body' => ['id' => 'op-1']]);
        $this->assertSame('op-1', $this->call('PUT', 3.0)['id']);
        [$first, $second] = $this->fake->requests();
        $this->assertSame($first['headers']['idempotency-key'], $second['headers']['idempotency-key']);
        $this->answers('PUT', '', ['headers' => ['Retry-After' => '30']] + $many);
        $this->assertSame('Too Many Requests', vmline_ChangePackage($this->params()), 'nobody waits for half a minute');
    }

    public function testTwoLostAnswersAreWithinTheBudget(): void
    {
        $this->answers('PUT', '', ['delay' => 3, 'status' => 202, 'body' => ['id' => 'late']]);
        $started = microtime(true);
        try {
            $this->call('PUT', 1.0);
            $this->fail('there was no answer');
        } catch (TransportFailure $failure) {
            $this->assertStringContainsString('did not answer in time', $failure->getMessage());
            $this->assertStringContainsString('Whether it accepted the command is not known; sending it again is harmless.', $failure->getMessage());
        }
        $this->assertLessThan(1.3, microtime(true) - $started);
        $this->assertCount(2, $this->fake->requests());
    }

    public function testTheBudgetOfACommand(): void
    {
        $this->assertSame(10.0, Gateway::BUDGET);
        $this->assertLessThan(Gateway::BUDGET, Gateway::LOOK);
    }

    public function testSecretsThatComeBackAreNotLogged(): void
    {
        $echo = ['title' => 'Bad Request', 'detail' => 'x', 'secret' => self::SECRET, 'password' => self::PASSWORD];
        $this->answers('PUT', '', ['status' => 400, 'body' => $echo]);
        vmline_CreateAccount($this->params());
        $this->assertCount(1, $this->calls('logModuleCall'));
        $this->assertNoSecretIsKept();
    }

    public function testASecretThatTheGatewayMakesIsNotLogged(): void
    {
        $this->fake->answer(['POST /v1/webhook-endpoints' => [['status' => 201, 'body' => ['id' => 'wh-1', 'secret' => 'whsec_pl4nted-R00t/x']]]]);
        Gateway::at(Server::fromId(self::SERVER))->post('/v1/webhook-endpoints', ['url' => 'https://billing.example/']);
        $this->assertCount(1, $this->calls('logModuleCall'));
        $this->assertNoSecretIsKept();
    }

    /** @dataProvider garbage */
    public function testGarbage(array $answer, string $message): void
    {
        $this->answers('PUT', '', $answer);
        $said = vmline_CreateAccount($this->params());
        $this->assertStringContainsString($message, $said);
        $this->assertStringNotContainsString("\n", $said);
        $this->assertNoSecretIsKept();
    }

    /** @return iterable<string,list<mixed>> */
    public static function garbage(): iterable
    {
        yield 'a page' => [['raw' => '<html>Welcome to nginx!</html>'], 'not one of the vmline gateway'];
        yield 'half of JSON' => [['raw' => '{"id":'], 'not one of the vmline gateway'];
        yield 'a number' => [['raw' => '7'], 'not one of the vmline gateway'];
        yield 'nothing' => [['raw' => ''], 'not one of the vmline gateway'];
        yield 'a proxy in trouble' => [['status' => 502, 'raw' => '<h1>Bad Gateway</h1>'], 'HTTP 502 came from something that is not the vmline gateway'];
        yield 'elsewhere' => [['status' => 301, 'raw' => '', 'headers' => ['Location' => 'http://192.0.2.1/']], 'HTTP 301'];
        yield 'a problem' => [['status' => 422, 'body' => ['type' => 'urn:vmline:problem:validation', 'title' => 'Unprocessable Entity',
            'detail' => 'validation failed', 'errors' => [['location' => 'body.network.bridge', 'message' => 'expected a bridge']],
            'next' => "Correct\nit."]], 'validation failed network.bridge: expected a bridge. Correct it.'];
        yield 'busy' => [['status' => 503, 'headers' => ['Retry-After' => '5'], 'body' => ['type' => 'urn:vmline:problem:queue-full', 'title' => 'x',
            'detail' => 'Too many orders are waiting. This one was not accepted.']], 'This one was not accepted.'];
        yield 'odd types' => [['status' => 409, 'body' => ['title' => 'T', 'detail' => ['x'], 'errors' => 'no list', 'next' => 5]], 'T'];
    }

    public function testAnAnswerThatBreaksOff(): void
    {
        $this->answers('PUT', '', ['body' => ['id' => 'op-1'], 'cut' => 5]);
        $said = vmline_CreateAccount($this->params());
        $this->assertStringContainsString('Whether it accepted the command is not known', $said);
        $this->assertCount(2, $this->fake->requests());
    }

    public function testAClockThatIsWrong(): void
    {
        $refusal = ['type' => 'urn:vmline:problem:unauthenticated', 'title' => 'Unauthorized', 'detail' => 'The signature is too old.'];
        $this->answers('PUT', '', ['status' => 401, 'body' => $refusal, 'headers' => ['Date' => gmdate('D, d M Y H:i:s', time() + 900) . ' GMT']]);
        $this->assertMatchesRegularExpression(
            '/^The signature is too old\. The clock of this server differs from the gateway\'s by -(900|899) seconds: set it right\.$/',
            vmline_CreateAccount($this->params())
        );
        $this->fake->answer(['GET /v1/version' => [['body' => ['version' => '1.0', 'time' => gmdate('c', time() - 120)]]]]);
        $this->assertMatchesRegularExpression('/differ by 12[01] seconds/', vmline_TestConnection($this->params())['error']);
    }

    public function testTestConnection(): void
    {
        $this->fake->answer(['GET /v1/version' => [['body' => ['version' => '1.0', 'time' => gmdate('c')]]]]);
        $this->assertSame(['success' => true, 'error' => ''], vmline_TestConnection($this->params()));
        $this->fake->answer([]);
        $this->assertStringContainsString('older than the module', vmline_TestConnection($this->params())['error']);
        $this->fake->answer(['GET /v1/version' => [['body' => ['version' => '1.0', 'scope' => 'read', 'time' => gmdate('c')]]]]);
        $this->assertStringContainsString('may only look', vmline_TestConnection($this->params())['error']);
        $this->fake->answer(['GET /v1/version' => [['body' => ['hello' => 'world']]]]);
        $this->assertStringContainsString('not a vmline gateway', vmline_TestConnection($this->params())['error']);
    }

    public function testAGatewayThatKnowsNoCluster(): void
    {
        $this->fake->answer(['GET /v1/clusters' => [['body' => ['items' => []]]]]);
        $this->expectException(\WHMCS\Module\Server\Vmline\Failure::class);
        $this->expectExceptionMessage('The gateway knows none yet.');
        vmline_ClusterLoader($this->params());
    }

    public function testUpgradesAreValidatedBeforeTheyArePaid(): void
    {
        $this->answers('PUT', '', ['status' => 202, 'body' => ['id' => 'op-1', 'status' => 'accepted']]);
        vmline_CreateAccount($this->params());
        $this->insert('tblproductconfigoptions', ['id' => 4, 'optionname' => 'disk|Disk', 'optiontype' => '1']);
        $this->insert('tblproductconfigoptionssub', ['id' => 44, 'configid' => 4, 'optionname' => '5|5 GB']);
        $_REQUEST['configoption'] = [4 => '44'];
        $shrink = ['ok' => false, 'problems' => [['cause' => 'A disk cannot shrink from 10 to 5 GB.']]];
        $this->answers('POST', '/validate', ['body' => $shrink]);
        $this->assertSame([['A disk cannot shrink from 10 to 5 GB.']], run_hook('ShoppingCartValidateUpgrade', ['id' => self::SERVICE]));
        $sent = $this->lastBody();
        $this->assertSame(['change_package', 5], [$sent['type'], $sent['package']['system_disk']['size_gb']]);
        $this->answers('POST', '/validate', ['body' => ['ok' => true]]);
        $this->assertSame([[]], run_hook('ShoppingCartValidateUpgrade', ['id' => self::SERVICE]));
        $this->answers('POST', '/validate', ['status' => 503, 'body' => ['title' => 'Service Unavailable']]);
        $this->assertSame([[]], run_hook('ShoppingCartValidateUpgrade', ['id' => self::SERVICE]), 'no answer is no refusal');
        unset($_REQUEST['configoption']);
    }

    /** Sends a command with a budget of a test's length. */
    private function call(string $method, float $seconds): array
    {
        $caller = new Caller(Server::fromId(self::SERVER), \Closure::fromCallable('time'));
        return $caller->call($method, '/v1/services/' . $this->ref(), ['a' => 1], $seconds);
    }

    /** @param array<string,mixed> ...$answers */
    private function answers(string $method, string $below, array ...$answers): void
    {
        $this->fake->answer(["$method /v1/services/" . $this->ref() . $below => $answers]);
    }

    /** @return array<string,mixed> */
    private function lastBody(): array
    {
        $requests = $this->fake->requests();
        return json_decode(end($requests)['body'], true);
    }

    /** Checks a signature as a server does: by what arrived. */
    private function assertSignature(array $request): void
    {
        $headers = $request['headers'];
        $this->assertSame('sha-256=:' . base64_encode(hash('sha256', $request['body'], true)) . ':', $headers['content-digest']);
        [, $parameters] = explode('=', $headers['signature-input'], 2);
        preg_match('/^\(([^)]*)\);created=(\d+);keyid="whmcs-1";alg="hmac-sha256";nonce="[0-9a-f]{24}"$/', $parameters, $match);
        $this->assertEqualsWithDelta(time(), (int) $match[2], 2);
        $names = str_getcsv($match[1], ' ');
        $this->assertSame(['@method', '@authority', '@path', '@query', 'content-digest', 'content-type', 'idempotency-key'], $names);
        $derived = ['@method' => $request['method'], '@authority' => $headers['host'], '@path' => $request['target'], '@query' => '?'];
        $lines = array_map(static fn (string $name): string => "\"$name\": " . ($derived[$name] ?? $headers[$name]), $names);
        $lines[] = "\"@signature-params\": $parameters";
        $expected = base64_encode(hash_hmac('sha256', implode("\n", $lines), self::SECRET, true));
        $this->assertSame("sig1=:$expected:", $headers['signature']);
    }
}
