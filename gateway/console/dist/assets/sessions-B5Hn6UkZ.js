import{r as e}from"./rolldown-runtime-XKyaHtl9.js";import{a as t,l as n,o as r,p as i,t as a,u as o}from"./jsx-runtime-BhzG6WC1.js";import{C as s,F as c,P as l,R as u,S as d,T as f,U as p,Y as m,a as h,b as g,ct as _,n as v,o as y,r as b,v as x,w as S,x as C,y as w,z as T}from"./ui-bbcBLmru.js";import{a as E,i as D}from"./live-BPpS0-Uq.js";import{t as O}from"./console-Cycho7Ix.js";import{t as k}from"./graphql-C-gECOzk.js";var A=e(i(),1),j=k(`
  query Sessions($principal: String) {
    viewer {
      session
    }
    admin {
      sessions(principal: $principal) {
        totalCount
        missingNodes
        nodes {
          id
          node
          via
          kind
          principal
          principalName
          opened
        }
      }
    }
  }
`),M=k(`
  query Connections($principal: String) {
    admin {
      connections(principal: $principal) {
        totalCount
        nodes {
          principal
          tenant
          source
          since
        }
      }
    }
  }
`),N=k(`
  mutation EndSession($id: ID!) {
    endSession(id: $id)
  }
`),P=k(`
  mutation EndConnection($principal: String!, $source: String!, $tenant: String) {
    endConnection(principal: $principal, source: $source, tenant: $tenant) {
      revoked
    }
  }
`),F=k(`
  mutation RevokeCredentials($principal: String, $tokenId: String, $issuer: String, $reason: String) {
    revokeCredentials(principal: $principal, tokenId: $tokenId, issuer: $issuer, reason: $reason) {
      ended
    }
  }
`),I=a();function L({principal:e,admin:i}){let[{data:a,error:c,fetching:l},p]=E({query:M,variables:{principal:e||null},requestPolicy:`network-only`}),[,m]=D(P),[h,g]=(0,A.useState)(``),x=a?.admin.connections,w=()=>p({requestPolicy:`network-only`}),T=f(c).some(e=>e.code===`NOT_FOUND`);return(0,I.jsxs)(y,{title:x?`Connections to sources: ${t(x.totalCount)}`:`Connections to sources`,actions:(0,I.jsx)(_,{onPress:w,children:`Read again`}),children:[!T&&(0,I.jsx)(d,{error:c}),h&&(0,I.jsx)(S,{tone:`good`,children:h}),T?(0,I.jsxs)(C,{title:`No source is called with accounts of users`,children:[`Give a source `,(0,I.jsx)(`code`,{children:`oauth`}),` with `,(0,I.jsx)(`code`,{children:`users: true`}),` in the configuration: users then connect their own accounts, and stand here.`]}):x?x.nodes.length===0?(0,I.jsx)(C,{title:`Nobody has connected a source`,children:`A user who calls a source that wants an account of theirs is asked to connect it, and stands here then.`}):(0,I.jsx)(b,{items:x.nodes,label:`Connections`,what:`connections`,id:e=>JSON.stringify([e.principal,e.tenant,e.source]),children:e=>(0,I.jsx)(v,{title:r(e.source,100),id:r(e.principal,300),what:e.tenant&&`Tenant ${r(e.tenant,100)}`,when:(0,I.jsxs)(`span`,{className:`muted`,children:[`since `,n(e.since)]}),actions:i&&(0,I.jsx)(u,{label:`End`,title:`End the connection to ${o(e.source)}`,confirm:`End it`,danger:!0,act:async()=>{let{data:t,error:n}=await m({principal:e.principal,source:e.source,tenant:e.tenant||null});if(n)return(0,I.jsx)(d,{error:n});g(t?.endConnection?.revoked?`Ended. The authorization server of the source has ended the tokens.`:`Ended: the gateway has forgotten the tokens. The authorization server of the source was not told.`),w()},children:(0,I.jsx)(`p`,{children:`The gateway forgets the tokens. The next call of this user asks them to connect anew.`})})})}):l&&(0,I.jsx)(s,{what:`connections`})]})}var R={principal:``,token:``,issuer:``,reason:``};function z({principal:e,onDone:n}){let[r,i]=(0,A.useState)(!1),[a,o]=(0,A.useState)(`principal`),{form:s,setForm:u,field:d}=w(R),[f,p]=(0,A.useState)(),[m,h]=(0,A.useState)(),[{fetching:g},v]=D(F),y=a===`principal`?s.principal.trim():s.token.trim()&&s.issuer.trim();return(0,I.jsxs)(I.Fragment,{children:[(0,I.jsx)(_,{className:`react-aria-Button danger`,onPress:()=>{u(t=>({...t,principal:t.principal||e})),h(void 0),p(void 0),i(!0)},children:`Revoke credentials`}),(0,I.jsx)(T,{title:`Revoke credentials`,isOpen:r,onClose:()=>i(!1),children:m===void 0?(0,I.jsxs)(x,{error:f,what:`Nothing was revoked`,submit:`Revoke`,danger:!0,isDisabled:!y||g,onSubmit:async()=>{p(void 0);let e=s.reason.trim()||null,t=await v(a===`principal`?{principal:s.principal.trim(),reason:e}:{tokenId:s.token.trim(),issuer:s.issuer.trim(),reason:e});p(t.error);let r=t.data?.revokeCredentials;r&&(h(r.ended),u(R),n())},onCancel:()=>i(!1),children:[(0,I.jsx)(`p`,{children:`What was issued until now is refused from now on, and ends what was opened with it. Credentials that are issued later are good: to keep somebody out, change the policy or their account at the issuer.`}),(0,I.jsx)(l,{label:`Whose`,value:a,onChange:o,options:[[`principal`,`All credentials of a principal`],[`token`,`One token`]]}),a===`principal`?(0,I.jsx)(c,{label:`Principal`,isRequired:!0,...d(`principal`),hint:`The whole id: issuer|kind|subject.`}):(0,I.jsxs)(I.Fragment,{children:[(0,I.jsx)(c,{label:`Id of the token`,isRequired:!0,...d(`token`),hint:`Its claim jti.`}),(0,I.jsx)(c,{label:`Issuer`,isRequired:!0,...d(`issuer`),hint:`Its claim iss.`})]}),(0,I.jsx)(c,{label:`Reason`,...d(`reason`),hint:`For whoever reads the audit log later.`})]}):(0,I.jsxs)(I.Fragment,{children:[(0,I.jsxs)(S,{tone:`good`,children:[`Revoked on every node. `,t(m),` sessions and calls ended on the node that answers; the others do the same.`]}),(0,I.jsx)(`div`,{className:`actions`,children:(0,I.jsx)(_,{onPress:()=>i(!1),children:`Close`})})]})})]})}function B(e){let{session:t,own:i}=e,[,a]=D(N),s=r(t.principalName||t.principal,80);return(0,I.jsx)(v,{title:s,badge:i&&(0,I.jsx)(g,{tone:`accent`,children:`This browser`}),id:r(t.principal,300),what:`${o(t.via)} · ${o(t.kind)}`,when:(0,I.jsxs)(`span`,{className:`muted`,children:[`since `,n(t.opened),t.node&&`, on ${o(t.node)}`]}),actions:(0,I.jsxs)(I.Fragment,{children:[(0,I.jsx)(_,{className:`react-aria-Button quiet`,"aria-label":`Only these: ${s}`,onPress:e.onPick,children:`Only these`}),(0,I.jsx)(p,{className:`ui-button`,href:`/audit?principal=${encodeURIComponent(t.principal)}`,"aria-label":`Records: ${s}`,children:`Records`}),e.admin&&(0,I.jsx)(u,{label:`End`,title:`End the session of ${s}`,confirm:`End it`,danger:!0,act:async()=>{let{error:n}=await a({id:t.id});if(n)return(0,I.jsx)(d,{error:n});e.onEnded()},children:(0,I.jsx)(`p`,{children:i?`This is the session of your own browser: you will have to sign in again.`:`Whatever it has open ends now. Its client may connect again: to prevent that, revoke its credentials.`})})]})})}function V(){let[e,n]=m(),r=O(),i=e.get(`principal`)??``,a=e=>n(e?{principal:e}:{},{replace:!0}),[{data:c,error:l,fetching:u},f]=E({query:j,variables:{principal:i||null},requestPolicy:`network-only`}),p=()=>f({requestPolicy:`network-only`}),g=c?.admin.sessions,v=r(`sessions`,`admin`);return(0,I.jsxs)(h,{title:`Sessions`,hint:`Streams, sockets and browsers that are signed in, on every node.`,actions:(0,I.jsxs)(I.Fragment,{children:[(0,I.jsx)(_,{onPress:p,children:`Read again`}),v&&(0,I.jsx)(z,{principal:i,onDone:p})]}),children:[(0,I.jsx)(H,{value:i,onChange:a}),(0,I.jsx)(d,{error:l}),g&&g.missingNodes.length>0&&(0,I.jsxs)(S,{tone:`warn`,children:[`These nodes did not answer in time, so that what is open there is missing:`,` `,g.missingNodes.map(o).join(`, `),`.`]}),(0,I.jsx)(y,{title:g?`Open now: ${t(g.totalCount)}`:`Open now`,children:g?g.nodes.length===0?(0,I.jsx)(C,{title:`Nothing is open`,children:i?(0,I.jsx)(_,{onPress:()=>a(``),children:`Show everybody`}):`A session appears here when somebody connects to a door or signs in with a browser.`}):(0,I.jsxs)(I.Fragment,{children:[g.totalCount>g.nodes.length&&(0,I.jsxs)(`p`,{className:`muted`,children:[`The oldest `,t(g.nodes.length),` are shown: name a principal to see the others.`]}),(0,I.jsx)(b,{items:g.nodes,label:`Sessions`,what:`sessions`,id:e=>e.id,children:e=>(0,I.jsx)(B,{session:e,own:e.id===c.viewer.session,admin:v,onPick:()=>a(e.principal),onEnded:p})})]}):u&&(0,I.jsx)(s,{what:`sessions`})}),(0,I.jsx)(L,{principal:i,admin:v})]})}function H({value:e,onChange:t}){let[n,r]=(0,A.useState)(e);(0,A.useEffect)(()=>r(e),[e]);let i=()=>n.trim()!==e&&t(n.trim());return(0,I.jsx)(`search`,{children:(0,I.jsxs)(`form`,{className:`row`,style:{alignItems:`end`},onSubmit:e=>{e.preventDefault(),i()},children:[(0,I.jsx)(`div`,{style:{flex:`1 1 280px`,maxInlineSize:640},children:(0,I.jsx)(c,{label:`Principal`,value:n,onChange:r,onBlur:i,maxLength:512,placeholder:`Whole id: issuer|kind|subject`})}),e&&(0,I.jsx)(_,{onPress:()=>t(``),children:`Show everybody`})]})})}export{V as default};